import type { RefuseVector, VectorEdit, VectorPlace, VectorText } from '../../../src/testing/vector-file.ts'

/** A refusal, with a word on it for readers of the file where the edit does not say all. */
export type Refusal = RefuseVector & { readonly why?: string }
type Part = 'text' | 'kek_id' | 'wrap' | 'sealed'

/** Something repeated; bytes are zeros. */
export const many = (count: number, repeat = '00'): VectorText => ({ repeat, count })

/** Texts without white space. */
export const words = (texts: string): readonly string[] => texts.split(' ')

/** A refusal for each text, and for each place where there are several. */
export function replace(
  part: Part,
  at: VectorPlace,
  length: number | null,
  texts: readonly VectorText[],
): VectorEdit {
  const [only] = texts
  return [part, at, length, texts.length === 1 && only !== undefined ? only : { any: texts }]
}

/** As {@link replace}, with nothing taken away. */
export function insert(part: Part, at: VectorPlace, texts: readonly VectorText[]): VectorEdit {
  return replace(part, at, 0, texts)
}

/** A refusal for each place, with everything from there on taken away. */
export function cut(part: Part, at: VectorPlace): VectorEdit {
  return [part, at, null, '']
}

/** A refusal for each unit and mask. */
export function each(part: Part, from: number, count: number, xor: readonly string[]): VectorEdit {
  return [part, { from, count }, 1, { xor }]
}

/** Puts a refusal together. */
export function refusal(reason: string, edit: VectorEdit, base = 'known', why?: string): Refusal {
  return { ...(why === undefined ? {} : { why }), ...(base === 'known' ? {} : { base }), edit, reason }
}
