// What is being heard, and what is asked beside it: steps of a question can be undone.

/** @typedef {import("./types.d.ts").Question} Question */
/** @typedef {import("./types.d.ts").Recording} Recording */
/** @typedef {import("./types.d.ts").Answer} Answer */

/** @returns {Question} */
export const plainQuestion = () => ({ like: [], dislike: [], sliders: {}, diversity: 0 });

export const session = {
  /** @type {Recording | null} */
  recording: null,
  /** @type {Answer | null} to the question as it is now */
  answer: null,
  /** @type {Answer | null} to the recording alone */
  plainly: null,
  question: plainQuestion(),
  /** @type {Question[]} */
  before: [],
  /** Called when the question has changed. */
  asked: () => {},
};

/** Begin with a recording. @param {Blob} file @param {string} name @param {string} sample track id, or "" */
export function begin(file, name, sample) {
  forget();
  session.recording = { file, name, url: URL.createObjectURL(file), sample, known: "" };
  return session.recording;
}

/** Forget the recording and everything about it. */
export function forget() {
  if (session.recording) URL.revokeObjectURL(session.recording.url);
  Object.assign(session, { recording: null, answer: null, plainly: null, question: plainQuestion(), before: [], asked: () => {} });
}

/** Change the question; the one before is kept. @param {(question: Question) => void} change */
export function ask(change) {
  session.before.push(session.question);
  session.question = structuredClone(session.question);
  change(session.question);
  session.asked();
}

/** Take the last change back. */
export function undo() {
  const before = session.before.pop();
  if (before) session.question = before;
  session.asked();
}

/** Whether nothing is asked beside the recording. @param {Question} question */
export const isPlain = (question) =>
  !question.like.length && !question.dislike.length && !question.diversity && !Object.values(question.sliders).some(Boolean);

/** The sliders that stand elsewhere than in the middle. @param {Question} question */
export const movedSliders = (question) => Object.fromEntries(Object.entries(question.sliders).filter(([, shift]) => shift));
