import { type Change, KEYRING_DOCUMENT } from './secret-store.ts'

/** The bounds of what a store is given, as `secret-store.ts` states them. */
export const STORE_LIMITS = {
  /** Names in one `read`. */
  names: 100,
  /** Changes in one `write`. */
  changes: 1_000,
  /** Items of one page; a store may answer fewer than asked for. */
  pageItems: 1_000,
  /** Bytes of UTF-8 of a name. */
  nameBytes: 512,
  /** Characters of a wrap text. */
  wrapCharacters: 1_464,
  /** Bytes of UTF-8 of `meta`. */
  metaBytes: 16_384,
  /** The shortest sealed bytes: nonce and tag around nothing. */
  minSealedBytes: 28,
  /** Shards that the records are divided into. */
  shards: 32,
  /** Characters of a shard. */
  shardCharacters: 1_500,
  /** Characters of a document's key. */
  documentKeyCharacters: 200,
  /** Bytes of UTF-8 of a document's value. */
  documentBytes: 65_536,
} as const

const VISIBLE_ASCII = /^[\x21-\x7e]+$/

/**
 * Checks the names given to `read`.
 *
 * @throws TypeError that says which one is wrong by its position, never by its text.
 */
export function checkNames(names: readonly string[]): void {
  if (names.length > STORE_LIMITS.names) {
    throw new TypeError(`at most ${STORE_LIMITS.names} names a call, got ${names.length}`)
  }
  for (let index = 0; index < names.length; index++) {
    const fault = faultOfName(names[index] as string)
    if (fault !== null) throw new TypeError(`names[${index}]${fault}`)
  }
}

/**
 * Checks the changes given to `write`. A store that calls it before its first await refuses the same misuse with the
 * same words as every other.
 *
 * @param maxSealedBytes - The store's `identify().maxSealedBytes`.
 * @throws TypeError that says which change is wrong by its position, never by its content.
 */
export function checkChanges(changes: readonly Change[], maxSealedBytes: number): void {
  if (changes.length > STORE_LIMITS.changes) {
    throw new TypeError(`at most ${STORE_LIMITS.changes} changes a call, got ${changes.length}`)
  }
  const names = new Set<string>()
  for (let index = 0; index < changes.length; index++) {
    const change = changes[index] as Change
    const fault = faultOfChange(change, maxSealedBytes)
    if (fault !== null) throw new TypeError(`changes[${index}]${fault}`)
    const name = change.kind === 'delete' ? change.name : change.secret.name
    if (names.has(name)) throw new TypeError(`changes[${index}]: its name occurs twice in one call`)
    names.add(name)
  }
}

/**
 * Checks what is given to `writeDocument`.
 *
 * @throws TypeError that never carries the value; also for deleting the document `keyring`, whose revisions would begin
 * again at 1.
 */
export function checkDocument(key: string, expectedRevision: number, value: string | null): void {
  if (key.length > STORE_LIMITS.documentKeyCharacters || !VISIBLE_ASCII.test(key)) {
    throw new TypeError(
      `a document's key is 1 to ${STORE_LIMITS.documentKeyCharacters} visible ASCII characters`,
    )
  }
  if (!Number.isSafeInteger(expectedRevision) || expectedRevision < 0) {
    throw new TypeError('expectedRevision: needs an integer from 0')
  }
  if (value === null && key === KEYRING_DOCUMENT) {
    throw new TypeError(
      'the document keyring is never deleted: its revisions guard writes and must not begin again',
    )
  }
  if (value !== null && (Buffer.byteLength(value) > STORE_LIMITS.documentBytes || !value.isWellFormed())) {
    throw new TypeError(
      `a document's value is at most ${STORE_LIMITS.documentBytes} bytes of well-formed text`,
    )
  }
}

/**
 * Checks the `limit` of a page and bounds it to what one page may hold.
 *
 * @returns The number of items to read, 1 to 1,000.
 * @throws TypeError for anything but an integer from 1.
 */
export function pageLimit(limit: number): number {
  if (!Number.isSafeInteger(limit) || limit < 1) throw new TypeError('limit: needs an integer from 1')
  return Math.min(limit, STORE_LIMITS.pageItems)
}

/**
 * Checks into how many shards the records are to be divided.
 *
 * @returns The same number.
 * @throws TypeError for anything but an integer from 1 to 32.
 */
export function shardLimit(atMost: number): number {
  if (!Number.isSafeInteger(atMost) || atMost < 1 || atMost > STORE_LIMITS.shards) {
    throw new TypeError(`atMost: needs an integer from 1 to ${STORE_LIMITS.shards}`)
  }
  return atMost
}

/**
 * Checks the text of a shard.
 *
 * @throws TypeError that never carries it: it may hold names.
 */
export function checkShard(shard: string): void {
  if (shard.length > STORE_LIMITS.shardCharacters || !VISIBLE_ASCII.test(shard)) {
    throw new TypeError(`shard: needs 1 to ${STORE_LIMITS.shardCharacters} visible ASCII characters`)
  }
}

/** What is wrong with a change: the end of a sentence that begins with its position. Batches are large, faults are rare. */
function faultOfChange(change: Change, maxSealedBytes: number): string | null {
  if (change.kind === 'delete')
    return faultOfName(change.name) ?? faultOfWrap(change.expectedWrap, 'expectedWrap')
  const { name, wrap, meta } = change.secret
  const fault =
    faultOfName(name) ??
    (change.kind === 'create' ? null : faultOfWrap(change.expectedWrap, 'expectedWrap')) ??
    faultOfWrap(wrap, 'secret.wrap')
  if (fault !== null) return fault
  if (Buffer.byteLength(meta) > STORE_LIMITS.metaBytes) {
    return `.secret.meta: longer than ${STORE_LIMITS.metaBytes} bytes`
  }
  return change.kind === 'rewrap' ? null : faultOfSealed(change.secret.sealed, maxSealedBytes)
}

function faultOfSealed(sealed: Uint8Array, maxSealedBytes: number): string | null {
  if (!(sealed instanceof Uint8Array)) return '.secret.sealed: needs a Uint8Array'
  const { length } = sealed
  if (length >= STORE_LIMITS.minSealedBytes && length <= maxSealedBytes) return null
  return `.secret.sealed: ${length} bytes, needs ${STORE_LIMITS.minSealedBytes} to ${maxSealedBytes}`
}

function faultOfName(name: string): string | null {
  const bytes = Buffer.byteLength(name)
  if (bytes >= 1 && bytes <= STORE_LIMITS.nameBytes && !name.includes('\0') && name.isWellFormed())
    return null
  return `: a name is 1 to ${STORE_LIMITS.nameBytes} bytes of well-formed UTF-8 without U+0000`
}

function faultOfWrap(wrap: string, of: 'expectedWrap' | 'secret.wrap'): string | null {
  if (wrap.length <= STORE_LIMITS.wrapCharacters && VISIBLE_ASCII.test(wrap)) return null
  return `.${of}: a wrap text is 1 to ${STORE_LIMITS.wrapCharacters} visible ASCII characters`
}
