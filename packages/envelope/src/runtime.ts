/** A running timer. */
export interface Timer {
  /** Keeps the callback from being called. Does nothing once it was. */
  cancel(): void
}

/**
 * How the engine reaches the world: clocks, randomness and waiting. `openVault` uses the process's own; tests and
 * simulators inject theirs, so that the real engine runs under a clock that they hold.
 */
export interface Runtime {
  /** Wall clock in milliseconds since 1970. Only for times that people read; no decision rests on it. */
  now(): number
  /** Milliseconds of a clock that never runs backwards. */
  monotonicMs(): number
  /** Random bytes for identifiers and jitter; never for key material. */
  randomBytes(length: number): Uint8Array
  /** Calls back once after `delayMs`. The timer must not keep a process alive. */
  timer(callback: () => void, delayMs: number): Timer
  /** How this process is called in messages to operators, such as `web-1/4711`. */
  readonly processName: string
}

/** Makes a UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 random bits, so ids sort by time. */
export function uuidV7(runtime: Runtime): string {
  const bytes = runtime.randomBytes(16)
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16)
  const milliseconds = runtime.now()
  view.setUint32(0, Math.floor(milliseconds / 0x10000))
  view.setUint16(4, milliseconds % 0x10000)
  view.setUint8(6, 0x70 | (view.getUint8(6) & 0x0f))
  view.setUint8(8, 0x80 | (view.getUint8(8) & 0x3f))
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/** A random share of `baseMs` between half and all of it, so that processes do not return in step. */
export function jitter(runtime: Runtime, baseMs: number): number {
  const [byte = 0] = runtime.randomBytes(1)
  return baseMs * (0.5 + byte / 510)
}

/** The wall clock as RFC 3339 UTC, for times that people read. */
export function timestamp(runtime: Runtime): string {
  return timestampOf(runtime.now())
}

/** Milliseconds since 1970 as RFC 3339 UTC. */
export function timestampOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}

/** The reverse of {@link timestampOf}; `NaN` for what is no time. */
export function millisecondsOf(time: string): number {
  return Date.parse(time)
}
