import { utf8 } from '../bytes.ts'
import { FormatError } from '../errors.ts'
import { type EncodedContext, encodeContext } from '../format/context.ts'
import { isKekId } from '../format/envelope-v2.ts'
import { MOST_EPOCH } from '../lifecycle/keyring-document.ts'
import type { CallerContext } from './secret-vault.ts'

const MAX_NAMESPACE_BYTES = 128
const MAX_CALLER_PAIRS = 14

/** @throws TypeError for a namespace that is no text of 1 to 128 bytes of well-formed UTF-8 without U+0000. */
export function checkNamespace(namespace: unknown): asserts namespace is string {
  const isText =
    typeof namespace === 'string' && namespace.length > 0 && namespace.length <= MAX_NAMESPACE_BYTES
  const isLegal = isText && namespace.isWellFormed() && !namespace.includes('\0')
  if (!isLegal || utf8(namespace).length > MAX_NAMESPACE_BYTES) {
    throw new TypeError(
      `The namespace is 1 to ${MAX_NAMESPACE_BYTES} bytes of well-formed UTF-8 without U+0000.`,
    )
  }
}

/**
 * The bytes of a value.
 *
 * @throws TypeError for anything but text or bytes.
 * @throws FormatError `ERR_VALUE_TOO_LARGE`.
 */
export function valueBytes(value: unknown, maxValueBytes: number): Uint8Array {
  if (typeof value === 'string') {
    if (!value.isWellFormed())
      throw new TypeError('A value given as text must be well-formed Unicode; give bytes instead.')
    // A text has at least as many bytes as code units: one far too long is refused before it is encoded.
    if (value.length > maxValueBytes) throw tooLarge(maxValueBytes)
  } else if (!(value instanceof Uint8Array)) {
    throw new TypeError('A value is text or a Uint8Array.')
  }
  const bytes = typeof value === 'string' ? utf8(value) : value
  if (bytes.length > maxValueBytes) throw tooLarge(maxValueBytes)
  return bytes
}

/**
 * The caller's pairs, checked and copied.
 *
 * @throws TypeError for more than 14 pairs, for `namespace` or `name` among them, or for a pair of the wrong form.
 */
export function checkCallerContext(context: CallerContext | undefined): CallerContext {
  if (context === undefined) return {}
  if (typeof context !== 'object' || context === null)
    throw new TypeError('The context is an object of text to text.')
  const pairs = Object.entries(context)
  if (pairs.length > MAX_CALLER_PAIRS)
    throw new TypeError(`The context has at most ${MAX_CALLER_PAIRS} pairs.`)
  for (const [key] of pairs) {
    if (key === 'namespace' || key === 'name') {
      throw new TypeError(`The context pair "${key}" is set by the vault; leave it out.`)
    }
  }
  return Object.fromEntries(pairs)
}

/** The whole encryption context of a record: the caller's pairs and where the record is. */
export function recordContext(namespace: string, name: string, context: CallerContext): EncodedContext {
  return encodeContext({ ...context, namespace, name })
}

/** @throws TypeError for anything but a count, or `null` where a secret may be expected not to exist. */
export function checkVersion(version: unknown, mayBeNull: boolean): void {
  if (version === undefined || (mayBeNull && version === null)) return
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1) {
    const or = mayBeNull ? ', or null for a secret that must not exist' : ''
    throw new TypeError(`expectedVersion is a version as put and get answer it, 1 or more${or}.`)
  }
}

function tooLarge(maxValueBytes: number): FormatError {
  return new FormatError(
    'ERR_VALUE_TOO_LARGE',
    `The value is longer than ${maxValueBytes} bytes. Nothing was written. openVault takes maxValueBytes up to 1 MiB.`,
  )
}

/** @throws TypeError for what is no KEK id. */
export function checkKekId(kekId: unknown): asserts kekId is string {
  if (typeof kekId !== 'string' || !isKekId(kekId)) {
    throw new TypeError(
      'A KEK id is 1 to 32 of a-z, 0-9, _ and -, begins with a letter or digit and does not end in _file.',
    )
  }
}

/** @throws TypeError for a reason that says nothing. Its length is the audit's to judge. */
export function checkReason(what: string, reason: unknown): void {
  if (reason === undefined) return
  if (typeof reason !== 'string' || reason.trim() === '') throw new TypeError(`${what} is a reason in words.`)
}

/** @throws TypeError for an epoch that no keyring document can go on from. */
export function checkEpoch(what: string, epoch: unknown): void {
  if (epoch === undefined) return
  if (typeof epoch !== 'number' || !Number.isSafeInteger(epoch) || epoch < 0 || epoch > MOST_EPOCH) {
    throw new TypeError(`${what} is an epoch: a whole number from 0 to ${MOST_EPOCH.toLocaleString('en')}.`)
  }
}

/**
 * A time as RFC 3339 UTC, comparable as text with the times of records.
 *
 * @throws TypeError for what is no time.
 */
export function checkTime(what: string, time: unknown): string | null {
  if (time === undefined) return null
  const text =
    typeof time === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/.test(time) ? time : null
  if (text === null) throw new TypeError(`${what} is a time as RFC 3339 UTC, such as 2030-01-31T12:00:00Z.`)
  return text.length === 20 ? `${text.slice(0, 19)}.000Z` : `${text.slice(0, -1).padEnd(23, '0')}Z`
}
