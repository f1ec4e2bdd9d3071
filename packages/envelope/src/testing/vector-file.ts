import { utf8 } from '../bytes.ts'

/** A text as a file of vectors writes it: as it is, repeated, as units of UTF-16 in hexadecimal, or in pieces. */
export type VectorText =
  | string
  | { readonly repeat: string; readonly count: number }
  | { readonly utf16: string }
  | readonly VectorText[]

/** An encryption context as a file of vectors writes it: pairs, in any order. */
export type VectorContext = readonly (readonly [key: VectorText, value: VectorText])[]

/** A value: text, bytes as hexadecimal, or length and SHA-256 of a long one. */
export type VectorValue =
  | VectorText
  | { readonly hex: string }
  | { readonly bytes: number; readonly sha256: string }

/** A KEK of suite 0001 that an implementation under test has to load. */
export interface LocalVectorKek {
  readonly id: string
  readonly suite: '0001'
  /** 32 bytes as hexadecimal. */
  readonly bytes: string
  /** Whether envelopes under it may be opened. @defaultValue true */
  readonly mayOpen?: boolean
}

/** A KEK of suite 0002. The table stands in for the provider. */
export interface RemoteVectorKek {
  readonly id: string
  readonly suite: '0002'
  readonly provider: string
  readonly key: string
  /** Wrapped DEKs with what the provider unwraps them to, both as hexadecimal. It unwraps nothing else. */
  readonly unwraps: readonly (readonly [wrappedDek: string, dek: string])[]
  /** Whether envelopes under it may be opened. @defaultValue true */
  readonly mayOpen?: boolean
}

/** The same as a file of vectors writes it. */
interface WrittenRemoteKek extends Omit<RemoteVectorKek, 'unwraps'> {
  readonly unwraps: readonly (readonly [wrappedDek: VectorText, dek: VectorText])[]
}

/** A KEK that an implementation under test has to load. */
export type VectorKek = LocalVectorKek | RemoteVectorKek

/** An envelope that opens. */
export interface OpenVector {
  readonly id: string
  /** @defaultValue `[["k", "v"]]` */
  readonly context?: VectorContext
  /** @defaultValue the empty value */
  readonly value?: VectorValue
  /** The whole text; absent where `wrapOf` and `sealed` say it. */
  readonly envelope?: VectorText
  /** The id of an earlier vector with the same wrap text. */
  readonly wrapOf?: string
  /** What stands after the last colon. @defaultValue that of the vector `wrapOf` names */
  readonly sealed?: VectorText
}

/** What becomes of an envelope under other KEKs: after each step its text up to the last colon. */
export interface RewrapVector {
  readonly base: string
  readonly to: readonly string[]
}

/** One place or several, each for a refusal of its own. */
export type VectorPlace = number | readonly number[] | { readonly from: number; readonly count: number }

/** What stands there instead; `any` and `xor` list several, each for a refusal of its own. */
export type VectorInsert =
  | VectorText
  | { readonly any: readonly VectorText[] }
  | { readonly xor: readonly string[] }

/** Changes of a context; `null` takes a pair away. */
export type VectorContextChanges = readonly (readonly [key: string, value: VectorText | null])[]

/** A change of an envelope or of its context. It stands for as many refusals as it has alternatives. */
export type VectorEdit =
  | readonly [
      part: 'text' | 'kek_id' | 'wrap' | 'sealed',
      at: VectorPlace,
      remove: number | null,
      insert: VectorInsert,
    ]
  | readonly [part: 'take', from: 'wrap' | 'sealed', ...ids: string[]]
  | readonly [part: 'context', ...alternatives: VectorContextChanges[]]

/** Refusals: an envelope that opens, a change, and the check that must refuse it. */
export interface RefuseVector {
  /** The id of an envelope that opens. @defaultValue `known` */
  readonly base?: string
  readonly edit: VectorEdit
  readonly reason: string
}

/** A refusal with several faults: the changes are made one after the other. */
export interface PrecedenceVector {
  /** The id of an envelope that opens. @defaultValue `known` */
  readonly base?: string
  readonly edits: readonly VectorEdit[]
  readonly reason: string
}

/** The contents of `@talos/envelope/vectors/v2.json`. The README beside it says what they mean. */
export interface VectorFile {
  readonly keks: readonly unknown[]
  readonly open: readonly unknown[]
  readonly rewrap: readonly unknown[]
  readonly misuse: readonly unknown[]
  readonly refuse: readonly unknown[]
  readonly precedence: readonly unknown[]
}

/** The same with every type. It is no part of the public API: a program in TypeScript has the runner. */
export interface VectorLists extends VectorFile {
  readonly keks: readonly (LocalVectorKek | WrittenRemoteKek)[]
  readonly open: readonly OpenVector[]
  readonly rewrap: readonly RewrapVector[]
  readonly misuse: readonly VectorContext[]
  readonly refuse: readonly RefuseVector[]
  readonly precedence: readonly PrecedenceVector[]
}

/**
 * Writes a text out.
 *
 * @param text - The text as a file of vectors has it.
 * @returns The text. It may hold a lone surrogate where the file says so by `utf16`.
 */
export function vectorText(text: VectorText): string {
  if (typeof text === 'string') return text
  if ('repeat' in text) return text.repeat.repeat(text.count)
  if ('utf16' in text) {
    const units = text.utf16.match(/.{4}/g) ?? []
    return String.fromCharCode(...units.map((unit) => Number.parseInt(unit, 16)))
  }
  return text.map(vectorText).join('')
}

/**
 * Writes KEKs out.
 *
 * @param lists - A file of vectors.
 * @returns Its KEKs.
 */
export function vectorKeks({ keks }: VectorLists): readonly VectorKek[] {
  return keks.map((kek) => {
    if (kek.suite === '0001') return kek
    return { ...kek, unwraps: kek.unwraps.map(([wrapped, dek]) => [vectorText(wrapped), vectorText(dek)]) }
  })
}

/**
 * Writes a context out.
 *
 * @param context - The context as a file of vectors has it.
 * @returns A plain object, as the functions of this package take it.
 */
export function vectorContext(context: VectorContext): Readonly<Record<string, string>> {
  return Object.fromEntries(context.map((pair) => pair.map(vectorText)))
}

/**
 * Writes a value out, unless only its length and hash are known.
 *
 * @param value - The value as a file of vectors has it.
 * @returns The bytes, or `null`.
 */
export function vectorValue(value: VectorValue): Uint8Array | null {
  if (typeof value === 'object' && 'sha256' in value) return null
  if (typeof value === 'object' && 'hex' in value) return Buffer.from(value.hex, 'hex')
  return utf8(vectorText(value))
}
