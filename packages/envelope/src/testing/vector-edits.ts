import {
  type VectorContextChanges,
  type VectorEdit,
  type VectorInsert,
  type VectorPlace,
  vectorText,
} from './vector-file.ts'

/** A text and the context it is opened with. */
export interface EnvelopeWithContext {
  readonly envelope: string
  readonly context: Readonly<Record<string, string>>
}

type Part = 'text' | 'kek_id' | 'wrap' | 'sealed'

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
  { envelope, context }: EnvelopeWithContext,
  edit: VectorEdit,
  find: (id: string) => string,
): readonly EnvelopeWithContext[] {
  if (edit[0] === 'context') {
    const [, ...alternatives] = edit
    return alternatives.map((changes) => ({ envelope, context: changeContext(context, changes) }))
  }
  return editTexts(envelope, edit, find).map((edited) => ({ envelope: edited, context }))
}

function editTexts(
  envelope: string,
  edit: Exclude<VectorEdit, readonly ['context', ...unknown[]]>,
  find: (id: string) => string,
): readonly string[] {
  const parts = envelope.split(':')
  if (edit[0] === 'take') {
    const [, part, ...ids] = edit
    const position = POSITIONS[part]
    return ids.map((id) => parts.with(position, find(id).split(':')[position] ?? '').join(':'))
  }
  const [part, place, remove, insert] = edit
  if (part === 'text') return editUnits(envelope, part, place, remove, insert)
  const position = POSITIONS[part]
  const text = parts[position] ?? ''
  const isBytes = part !== 'kek_id'
  const edited = editUnits(isBytes ? recode(text, 'base64url', 'latin1') : text, part, place, remove, insert)
  return edited.map((units) => {
    return parts.with(position, isBytes ? recode(units, 'latin1', 'base64url') : units).join(':')
  })
}

/** Characters, or bytes as characters of Latin-1: every edit is one of text then. */
function editUnits(
  units: string,
  part: Part,
  place: VectorPlace,
  remove: number | null,
  insert: VectorInsert,
): readonly string[] {
  return placesOf(place).flatMap((at) => {
    return insertsOf(insert, part, units.charCodeAt(at)).map((inserted) => {
      return units.slice(0, at) + inserted + (remove === null ? '' : units.slice(at + remove))
    })
  })
}

function placesOf(place: VectorPlace): readonly number[] {
  if (typeof place === 'number') return [place]
  return 'from' in place ? Array.from({ length: place.count }, (_, index) => place.from + index) : place
}

function insertsOf(insert: VectorInsert, part: Part, unit: number): readonly string[] {
  if (typeof insert === 'object' && 'xor' in insert) {
    return insert.xor.map((mask) => String.fromCharCode(unit ^ Number.parseInt(mask, 16)))
  }
  const texts = typeof insert === 'object' && 'any' in insert ? insert.any : [insert]
  const isHex = part === 'wrap' || part === 'sealed'
  return texts.map((text) => (isHex ? recode(vectorText(text), 'hex', 'latin1') : vectorText(text)))
}

function recode(text: string, from: BufferEncoding, to: BufferEncoding): string {
  return Buffer.from(text, from).toString(to)
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
