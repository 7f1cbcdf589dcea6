/** Where the time of a prediction went. */

const STAGES = ["queue", "decode", "blur", "preprocess", "inference", "postprocess", "draw"];

/**
 * @param timings milliseconds by stage, with their total, as the server tells them.
 * @param roundTrip milliseconds from sending the picture to having the prediction.
 * @returns the stages in order, each {stage, ms, share}: `waiting` is what the server's total holds beyond its stages,
 *   `transfer` is what the round trip holds beyond the server's total. Shares are of the round trip.
 */
export function stages(timings, roundTrip) {
  const known = STAGES.filter((stage) => Number.isFinite(timings[stage])).map((stage) => ({ stage, ms: timings[stage] }));
  const sum = known.reduce((ms, part) => ms + part.ms, 0);
  const all = [
    ...known,
    { stage: "waiting", ms: Math.max(0, timings.total - sum) },
    { stage: "transfer", ms: Math.max(0, roundTrip - timings.total) },
  ];
  const whole = all.reduce((ms, part) => ms + part.ms, 0);
  return all.map((part) => ({ ...part, share: whole > 0 ? part.ms / whole : 0 }));
}
