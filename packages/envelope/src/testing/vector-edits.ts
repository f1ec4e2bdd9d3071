import { concat, decodeBase64url, encodeBase64url } from '../bytes.ts'
import {
  type VectorContextChanges,
  type VectorEdit,
  type VectorInsert,
  type VectorPlace,
  vectorBytes,
  vectorText,
} from './vector-file.ts'

/** A text and the context it is opened with. */
export interface EnvelopeWithContext {
  readonly envelope: string
  readonly context: Readonly<Record<string, string>>
}

type Part = 'text' | 'kek_id' | 'wrap' | 'sealed'
type Replace = (whole: string | Uint8Array, at: number) => string | Uint8Array

/** Where the parts stand between the colons. */
const POSITIONS = { kek_id: 2, wrap: 3, sealed: 4 } as const

/**
 * Makes a change in all its alternatives.
 *
 * @param base - An envelope that opens, with its context.
 * @param edit - The change.
 * @param find - Finds the text of another envelope by the id of its vector.
 * @returns One text with context for each alternative.
 */
export function applyEdit(
  base: EnvelopeWithContext,
  edit: VectorEdit,
  find: (id: string) => string,
): readonly EnvelopeWithContext[] {
  const { envelope, context } = base
  if (edit[0] === 'context') {
    const [, ...alternatives] = edit
    return alternatives.map((changes) => ({ envelope, context: changeContext(context, changes) }))
  }
  if (edit[0] === 'take') {
    const [, part, ...ids] = edit
    return ids.map((id) => {
      const taken = find(id).split(':')[POSITIONS[part]] ?? ''
      return { envelope: withPart(envelope, part, () => taken), context }
    })
  }
  const [part, place, remove, insert] = edit
  const replacements = replacementsOf(part, remove, insert)
  return placesOf(place).flatMap((at) => {
    return replacements.map((replace) => ({ envelope: editPart(envelope, part, replace, at), context }))
  })
}

function placesOf(place: VectorPlace): readonly number[] {
  if (typeof place === 'number') return [place]
  return 'from' in place ? Array.from({ length: place.count }, (_, index) => place.from + index) : place
}

function replacementsOf(part: Part, remove: number | null, insert: VectorInsert): readonly Replace[] {
  if (typeof insert === 'object' && 'xor' in insert) {
    return insert.xor.map((mask): Replace => {
      const bits = Number.parseInt(mask, 16)
      return (whole, at) => {
        const unit = typeof whole === 'string' ? whole.charCodeAt(at) : (whole[at] ?? 0)
        const changed = unit ^ bits
        const inserted = typeof whole === 'string' ? String.fromCharCode(changed) : Uint8Array.of(changed)
        return splice(whole, at, 1, inserted)
      }
    })
  }
  const texts = typeof insert === 'object' && 'any' in insert ? insert.any : [insert]
  return texts.map((text): Replace => {
    const inserted = part === 'wrap' || part === 'sealed' ? vectorBytes(text) : vectorText(text)
    return (whole, at) => splice(whole, at, remove ?? whole.length - at, inserted)
  })
}

function splice(
  whole: string | Uint8Array,
  at: number,
  remove: number,
  inserted: string | Uint8Array,
): string | Uint8Array {
  if (typeof whole === 'string') return whole.slice(0, at) + String(inserted) + whole.slice(at + remove)
  return concat([whole.subarray(0, at), inserted as Uint8Array, whole.subarray(at + remove)])
}

function editPart(envelope: string, part: Part, replace: Replace, at: number): string {
  if (part === 'text') return String(replace(envelope, at))
  if (part === 'kek_id') return withPart(envelope, part, (kekId) => String(replace(kekId, at)))
  return withPart(envelope, part, (text) => {
    const bytes = decodeBase64url(text)
    if (bytes === null) throw new TypeError(`The ${part} that a vector changes is no base64url.`)
    return encodeBase64url(replace(bytes, at) as Uint8Array)
  })
}

function withPart(envelope: string, part: keyof typeof POSITIONS, change: (text: string) => string): string {
  const parts = envelope.split(':')
  const position = POSITIONS[part]
  parts[position] = change(parts[position] ?? '')
  return parts.join(':')
}

function changeContext(
  context: Readonly<Record<string, string>>,
  changes: VectorContextChanges,
): Readonly<Record<string, string>> {
  const pairs = new Map(Object.entries(context))
  for (const [key, value] of changes) {
    if (value === null) pairs.delete(key)
    else pairs.set(key, vectorText(value))
  }
  return Object.fromEntries(pairs)
}
