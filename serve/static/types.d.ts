// What the server answers, as its /openapi.json describes it; for the type checker alone, no browser loads this.

export interface Track {
  track_id: string;
  title: string | null;
  artist: string | null;
  album: string | null;
  label: string | null;
  year: number | null;
  licence: string | null;
}

export interface Moment { start: number; end: number; name: string; value: number }
export interface Probability { label: string; probability: number; threshold?: number }
export interface Shift { name: string; shift: number; value: number | null; seed: number | null }
export interface Match { start: number; seed_start: number; seconds: number; similarity: number }

export interface Neighbour extends Track {
  similarity: number;
  rank: number;
  rank_before: number;
  because: string;
  shifts: Shift[];
  match: Match | null;
}

export interface Answer {
  task: "single_label" | "multi_label" | "playlists" | "regression" | "embedding" | "seeds";
  model: string;
  version: string;
  bundle: string;
  seconds: number;
  arm?: string | null;
  /** Of the request, from the header of its answer. */
  request_id?: string | null;
  recording?: string | null;
  why?: string | null;
  heard?: number | null;
  sure?: number | null;
  doubt?: boolean | null;
  timeline?: Moment[] | null;
  label?: string;
  labels?: string[];
  probabilities?: Probability[];
  playlists?: { playlist: string; fitness: number }[];
  values?: { name: string; value: number; unit: string; low: number | null; high: number | null }[];
  target?: string;
  vector?: number[];
  neighbours?: Neighbour[];
  notes?: string[];
}

export interface MeasuredAttribute {
  name: string;
  value: number | string;
  unit: string;
  low: number | null;
  high: number | null;
  quantile: number | null;
}

export interface Spread { name: string; unit: string; less: string; more: string; known: number; quantiles: number[] }

export interface Catalogue {
  model: string;
  tracks: number;
  audible: number;
  labels: Record<string, number>;
  attributes: Spread[];
}

export interface Health {
  status: string;
  model: string | null;
  version: string | null;
  task: string | null;
  tracks: number;
  catalogue: { name: string | null; kind: string; number: number | null } | null;
  tonearm: string;
  problem: string;
}

export interface Model {
  model: string;
  version: string;
  bundle: string;
  task: string;
  classes: string[];
  networks: number;
  clip_seconds: number;
  scores: Record<string, number>;
}

export interface Step extends Track { progress: number; distance: number }

export interface Groups { name: string; names: string[]; of: number[] }

export interface CatalogueMap {
  count: number;
  grid: number;
  x: number[];
  y: number[];
  ids: string[];
  titles: string[];
  years: (number | null)[];
  groups: Groups[];
  trustworthiness: number | null;
  chance: number | null;
}

/** What is asked beside a recording. */
export interface Question {
  like: string[];
  dislike: string[];
  sliders: Record<string, number>;
  diversity: number;
}

/**
 * A recording that is heard: a file of the user's, or a sample of the catalogue. Once the server has heard it, `known`
 * names it there, for as long as the server remembers; "": it does not.
 */
export interface Recording { file: Blob; name: string; url: string; sample: string; known: string }
