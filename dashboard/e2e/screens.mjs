// Every screen: its place, its heading.
export const SCREENS = [
  ["", "Overview"], ["alerts", "Alerts"], ["latency", "Latency"], ["heatmap", "Heatmap"], ["waterfall", "Waterfall"], ["shards", "Shards"],
  ["queues", "Queues (SQS)"], ["kafka", "Kafka"], ["types", "Types"], ["tail", "Live tail"], ["rejected", "Rejected"], ["pipelines", "Pipelines"],
  ["topics", "Topics"], ["config", "Configuration"], ["access", "Access"], ["compare", "Compare runs"], ["help", "Help"],
];
