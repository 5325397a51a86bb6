/** The screens: their places, their keys, their order. The order is that of the questions: healthy, where, what now. */

export interface Screen {
  readonly path: string;
  readonly label: string;
  /** Pressed after `g`. */
  readonly key: string;
  readonly group: string;
}

export const SCREENS: readonly Screen[] = [
  { path: "/", label: "Overview", key: "o", group: "Healthy?" },
  { path: "/alerts", label: "Alerts", key: "a", group: "Healthy?" },
  { path: "/latency", label: "Latency", key: "l", group: "Where?" },
  { path: "/heatmap", label: "Heatmap", key: "h", group: "Where?" },
  { path: "/waterfall", label: "Waterfall", key: "w", group: "Where?" },
  { path: "/shards", label: "Shards", key: "s", group: "Where?" },
  { path: "/queues", label: "Queues (SQS)", key: "q", group: "Where?" },
  { path: "/kafka", label: "Kafka", key: "k", group: "Where?" },
  { path: "/types", label: "Types", key: "t", group: "Which messages?" },
  { path: "/tail", label: "Live tail", key: "v", group: "Which messages?" },
  { path: "/rejected", label: "Rejected", key: "d", group: "Which messages?" },
  { path: "/pipelines", label: "Pipelines", key: "p", group: "What now?" },
  { path: "/topics", label: "Topics", key: "i", group: "What now?" },
  { path: "/config", label: "Configuration", key: "c", group: "What now?" },
  { path: "/access", label: "Access", key: "u", group: "What now?" },
  { path: "/compare", label: "Compare runs", key: "b", group: "Learn" },
  { path: "/help", label: "Help", key: "e", group: "Learn" },
];

export interface KeyHelp {
  readonly keys: string;
  readonly does: string;
}

export const KEYS: readonly KeyHelp[] = [
  { keys: "?", does: "this sheet" },
  { keys: "Ctrl K", does: "palette: any screen, pipeline or action by name" },
  { keys: "g, then a letter", does: "a screen; the letter stands beside it in the menu" },
  { keys: "/", does: "to the filter of the page" },
  { keys: "[ and ]", does: "a window back, a window forward" },
  { keys: "1 to 7", does: "show or hide a stage" },
  { keys: "Space", does: "pause the drawing; collecting goes on" },
  { keys: "b", does: "save a baseline (on Latency)" },
  { keys: "arrow keys", does: "on a chart: read value by value; Page Up and Page Down by ten" },
  { keys: "Esc", does: "close" },
];
