import type { EncryptionContext } from '../../codec/codec.ts'
import type { CallOptions, Outcome, Page } from '../../store/secret-store.ts'

/**
 * A place outside of the store where envelopes of the same KEKs are kept, made by the codec or copied: a column of another
 * table, a queue, a cache. It can count, or its envelopes do not grow older than a known age, or it is also rotated.
 */
export type DeclaredSource = CountedSource | ExpiringSource | RotatableSource

/** A declared source that the retirement gate asks. */
export interface CountedSource {
  /** 1 to 128 bytes of well-formed UTF-8 without control characters; stands in certificates and messages. */
  readonly name: string
  /**
   * Counts the envelopes under a KEK, as a whole number; 0 must be exact and of everything committed before the call. What it
   * throws, what it answers else, and no answer in time: the source could not be counted, and no KEK is safe to retire.
   */
  count(kekId: string, options: CallOptions): Promise<number>
}

/** A declared source whose envelopes do not grow older than a known age. */
export interface ExpiringSource {
  readonly name: string
  /** The oldest an envelope there can be, in milliseconds. */
  readonly maxAgeMs: number
}

/** A declared source whose envelopes a rotation puts under the target, as it does the secrets of the store. */
export interface RotatableSource extends CountedSource {
  /**
   * Reads one page of the envelopes that are not under `exceptKekId`. Everything that is there from start to end is seen at
   * least once; order is not promised. A page holds at most `limit` envelopes, and may be empty and not be the last.
   *
   * @param query - `cursor` is `null` for the first page, then what the last one answered as `next`: at most 2,048 bytes, and
   * without anything that a re-wrap changes. It is kept over restarts and shown to other instances.
   */
  scan(
    query: { readonly cursor: string | null; readonly limit: number; readonly exceptKekId: string },
    options: CallOptions,
  ): Promise<Page<SourceEnvelope>>
  /**
   * Exchanges wrap texts and leaves the sealed parts as they are. Compare and write are one atomic step for each; a call may be
   * repeated with the same changes; nothing is created. No id occurs twice.
   *
   * @returns One outcome per change, in order: `done`; `already` when the envelope carries exactly the wrap text to be written;
   * `changed` when it carries another one than expected; `missing` when it is gone.
   */
  rewrap(changes: readonly SourceChange[], options: CallOptions): Promise<readonly SourceOutcome[]>
}

/** One envelope of a declared source, without its sealed part. */
export interface SourceEnvelope {
  /** Unique in its source: 1 to 512 bytes of well-formed UTF-8, no U+0000. Listed where the envelope could not be re-wrapped. */
  readonly id: string
  /**
   * The envelope up to the colon before its sealed part, `talos:v2:<kek_id>:<wrap>`; `null` for something that is kept there and
   * is no envelope: it is listed among the failures of the rotation.
   */
  readonly wrap: string | null
  /** The pairs that the value was wrapped with; `null` when they cannot be told: a failure too. */
  readonly context: EncryptionContext | null
}

/** One wrap text to be exchanged. */
export interface SourceChange {
  readonly id: string
  readonly expectedWrap: string
  readonly wrap: string
}

/** What became of one change; see {@link RotatableSource.rewrap}. */
export type SourceOutcome = Exclude<Outcome, 'fenced'>

/** The most sources of one vault; every instance reports the names of its own. */
export const MOST_SOURCES = 64
/** The most bytes of UTF-8 of a name. */
export const MOST_SOURCE_NAME_BYTES = 128

const FORMS = 'a function count, or a number maxAgeMs from 0, or the functions count, scan and rewrap'

/** Whether a declared source can be rotated. */
export function isRotatable(source: DeclaredSource): source is RotatableSource {
  return 'rewrap' in source
}

/** Whether a text may be the name of a declared source. */
export function isSourceName(name: unknown): name is string {
  return (
    typeof name === 'string' &&
    name !== '' &&
    Buffer.byteLength(name) <= MOST_SOURCE_NAME_BYTES &&
    name.isWellFormed() &&
    !/\p{Cc}/u.test(name)
  )
}

/**
 * Checks one source that a caller declares.
 *
 * @throws TypeError for a source of the wrong form.
 */
export function checkDeclaredSource(source: DeclaredSource): void {
  if (typeof source !== 'object' || source === null || !isSourceName(source.name)) {
    throw new TypeError(
      `A declared source has a name of 1 to ${MOST_SOURCE_NAME_BYTES} bytes without control characters.`,
    )
  }
  const { count, scan, rewrap, maxAgeMs } = source as unknown as Readonly<Record<string, unknown>>
  const given = [count, scan, rewrap].map((each) => each !== undefined)
  const functions = [count, scan, rewrap].map((each) => typeof each === 'function')
  const isForm =
    maxAgeMs === undefined
      ? functions[0] && functions.every((is, index) => is === given[index]) && functions[1] === functions[2]
      : typeof maxAgeMs === 'number' && Number.isFinite(maxAgeMs) && maxAgeMs >= 0 && !given.includes(true)
  if (!isForm) throw new TypeError(`A declared source has ${FORMS}: not so "${source.name}".`)
}

/**
 * Checks what a caller declared.
 *
 * @throws TypeError for a source of the wrong form, two of one name, or more than 64.
 */
export function checkDeclaredSources(sources: readonly DeclaredSource[]): void {
  if (!Array.isArray(sources)) throw new TypeError('declaredSources is an array of declared sources.')
  if (sources.length > MOST_SOURCES) throw new TypeError(`At most ${MOST_SOURCES} sources are declared.`)
  const names = new Set<string>()
  for (const source of sources) {
    checkDeclaredSource(source)
    if (names.has(source.name)) throw new TypeError(`Two declared sources have one name: "${source.name}".`)
    names.add(source.name)
  }
}
