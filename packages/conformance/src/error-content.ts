import { inspect } from 'node:util'
import type { StoredSecret } from '@talos/envelope'

/** More than the error of a store has beneath it; whoever drags a client along has thousands. */
const MOST_OBJECTS = 2_000
/**
 * The letters that each part of a record consists of, over and over, so that a fragment of it is known as well. Twelve, for
 * Base64 repeats itself with them.
 */
const LETTERS = {
  name: 'nameQw7Zk3Vx',
  wrap: 'wrapJh5Rt9Ly',
  'wrap text expected': 'wantGd4Pb8Fs',
  meta: 'metaMc6Xu2Ke',
  'sealed bytes': 'sealBv9Nf4Ta',
  'value of a document': 'textUy3Hw6Dp',
} as const

type Part = keyof typeof LETTERS

/** A record of which every fragment of some length tells what part it is of. */
export function markedSecret(number: number): StoredSecret {
  return {
    name: `${LETTERS.name.repeat(3)} ${number}`,
    wrap: `talos:v2:v1:${LETTERS.wrap.repeat(8)}${number}`,
    meta: JSON.stringify({ note: LETTERS.meta.repeat(6), number }),
    sealed: new Uint8Array(Buffer.from(LETTERS['sealed bytes'].repeat(8))),
  }
}

/** A wrap text that no record carries. */
export const MARKED_EXPECTED_WRAP = `talos:v2:v1:${LETTERS['wrap text expected'].repeat(8)}`
/** The value of a document. */
export const MARKED_VALUE = JSON.stringify({ note: LETTERS['value of a document'].repeat(6) })

const NEEDLES = Object.entries(LETTERS).map(([part, letters]) => ({
  part: part as Part,
  exact: [letters, ...decimals(letters), ...base64(letters)],
  folded: hexadecimals(letters),
}))

/**
 * Looks for parts of marked records in all that can be reached from an error: its message, stack and causes, whatever
 * hangs on it or on those, and what `inspect` shows of it.
 *
 * @returns Which part and where, or `null` for none.
 */
export function contentOf(error: unknown): string | null {
  const seen = new Set<unknown>()
  const ahead: { readonly value: unknown; readonly path: string }[] = [{ value: error, path: 'error' }]
  for (let at = ahead.pop(); at !== undefined; at = ahead.pop()) {
    const { value, path } = at
    const part = partIn(textOf(value))
    if (part !== null) return `the ${part} in ${path}`
    if (!isObject(value) || seen.has(value)) continue
    seen.add(value)
    if (seen.size > MOST_OBJECTS) return `more than ${MOST_OBJECTS} objects, as far as ${path}`
    ahead.push(...membersOf(value, path))
  }
  const shown = inspect(error, {
    depth: Infinity,
    showHidden: true,
    maxArrayLength: null,
    maxStringLength: null,
  })
  const part = partIn(shown)
  return part === null ? null : `the ${part} in what inspect shows`
}

function partIn(text: string): Part | null {
  const folded = text.toLowerCase()
  const found = NEEDLES.find(
    ({ exact, folded: hexadecimal }) =>
      exact.some((needle) => text.includes(needle)) || hexadecimal.some((needle) => folded.includes(needle)),
  )
  return found?.part ?? null
}

/** What can be read from a value itself: a text, or bytes however they are kept. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'symbol') return value.description ?? ''
  if (ArrayBuffer.isView(value)) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1')
  }
  if (value instanceof ArrayBuffer) return Buffer.from(value).toString('latin1')
  return Array.isArray(value) && value.every(Number.isInteger) ? value.join(',') : ''
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

/** The members of an object, hidden and inherited ones among them, and their keys. */
function* membersOf(owner: object, path: string): Generator<{ value: unknown; path: string }> {
  if (owner instanceof Map || owner instanceof Set) {
    for (const entry of owner.entries()) yield* entry.map((value) => ({ value, path: `${path}[]` }))
  }
  if (ArrayBuffer.isView(owner)) return
  for (let holder: object | null = owner; holder !== null; holder = Object.getPrototypeOf(holder)) {
    if (BUILT_IN.has(holder)) return
    for (const key of Reflect.ownKeys(holder)) {
      const member = `${path}.${String(key)}`
      yield { value: key, path: `a key of ${path}` }
      yield { value: memberOf(owner, key), path: member }
    }
  }
}

/** What every object of a kind inherits is the language's, and leads to all of it. */
const BUILT_IN: ReadonlySet<object> = new Set(
  [Object, Function, Array, Error, Map, Set, Promise].map(({ prototype }) => prototype as object),
)

function memberOf(owner: object, key: string | symbol): unknown {
  try {
    return Reflect.get(owner, key)
  } catch {
    return undefined
  }
}

function decimals(letters: string): string[] {
  const codes = [...Buffer.from(letters)]
  return [codes.join(','), codes.join(', ')]
}

function hexadecimals(letters: string): string[] {
  const hex = Buffer.from(letters).toString('hex')
  return [hex, hex.replace(/..(?=.)/g, '$& ')]
}

/** The letters may begin anywhere in what was encoded: one text for each place within three bytes. */
function base64(letters: string): string[] {
  return [0, 1, 2].flatMap((from) => {
    const bytes = Buffer.from(letters.repeat(2)).subarray(from, from + letters.length)
    return [bytes.toString('base64'), bytes.toString('base64url')]
  })
}
