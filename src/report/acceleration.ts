// What has become of local TCP between cgroups that accelerate, for status.

export interface StatusAcceleration {
  /** Connections of which at least one direction is redirected now. */
  readonly connections: number;
  /** Directions of connections that were ever redirected. */
  readonly redirected: number;
  readonly messages: number;
  readonly bytes: number;
  /** Directions that went, or returned, to TCP, by reason. */
  readonly fallbacks: Readonly<Record<string, number>>;
}

/** Lines for people; none when no policy accelerates. */
export function renderAcceleration(acceleration: StatusAcceleration | null): string[] {
  if (acceleration === null) return [];
  const { connections, redirected, messages, bytes, fallbacks } = acceleration;
  const reasons = Object.entries(fallbacks)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${reason} ${String(count)}`);
  return [
    `redirect ${String(connections)} connections now; ${String(redirected)} directions, ${String(messages)} messages, ${String(bytes)} bytes so far`,
    ...(reasons.length === 0 ? [] : [`to TCP   ${reasons.join(', ')}`]),
  ];
}
