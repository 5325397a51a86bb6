/** Stages as curves: each keeps its colour and dash on every page. */

import type { Body } from "../api/client";
import type { Curve } from "../charts/PercentileCurve";
import { STAGES } from "../ui/view";

type Stage = Body<"StageCurve">;

/** The look of a stage. */
export function lookOf(stage: string): number {
  const index = STAGES.findIndex((one) => one.key === stage);
  return index < 0 ? 7 : index % 8;
}

export function labelOf(stage: string): string {
  return STAGES.find((one) => one.key === stage)?.label ?? stage.replaceAll("_", " ");
}

/** The chosen stages that have values. */
export function curvesOf(stages: readonly Stage[], chosen: readonly string[]): Curve[] {
  return stages
    .filter((one) => chosen.includes(one.stage) && one.percentiles.count > 0)
    .map((one) => ({ key: one.stage, label: labelOf(one.stage), look: lookOf(one.stage), points: one.points }));
}

/** The slowest of the stages that follow each other, at the median. */
export function largestStage(stages: readonly Stage[]): string | null {
  const own = ["decode", "pipeline", "handoff", "produce_to_ack", "ack_to_deleted"];
  let found: Stage | null = null;
  for (const one of stages) {
    if (own.includes(one.stage) && one.percentiles.count > 0 && one.percentiles.p50_us > (found?.percentiles.p50_us ?? -1)) found = one;
  }
  return found === null ? null : labelOf(found.stage);
}
