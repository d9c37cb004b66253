// What the browser keeps for the page; where it keeps nothing for pages, it lasts until the page is closed.

/**
 * @param {"localStorage" | "sessionStorage"} kind
 * @returns {Pick<Storage, "getItem" | "setItem" | "removeItem">}
 */
function storage(kind) {
  try {
    const found = globalThis[kind];
    found.getItem("");
    return found;
  } catch { // cookies are blocked
    /** @type {Map<string, string>} */
    const memory = new Map();
    return {
      getItem: (name) => memory.get(name) ?? null,
      setItem: (name, value) => void memory.set(name, value),
      removeItem: (name) => void memory.delete(name),
    };
  }
}

export const ofTab = storage("sessionStorage"), ofBrowser = storage("localStorage");
