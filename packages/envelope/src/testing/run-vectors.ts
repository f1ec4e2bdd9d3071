import { encodeHex } from '../bytes.ts'
import { equalConstantTime, sha256 } from '../crypto/digest.ts'
import { applyEdit, type EnvelopeWithContext } from './vector-edits.ts'
import {
  type OpenVector,
  type VectorEdit,
  type VectorFile,
  type VectorKek,
  type VectorLists,
  type VectorValue,
  vectorContext,
  vectorKeks,
  vectorText,
  vectorValue,
} from './vector-file.ts'

/** What an implementation answers: the result, or the reason of its refusal; `misuse` for a context that breaks a rule. */
export type VectorAnswer<T> = { readonly value: T } | { readonly refused: string }

/** An implementation of the envelope format that holds the KEKs of a file of vectors. */
export interface VectorSubject {
  /**
   * Opens an envelope.
   *
   * @param envelope - Any text.
   * @param context - Any map of text to text.
   */
  open(
    envelope: string,
    context: Readonly<Record<string, string>>,
  ): VectorAnswer<Uint8Array> | Promise<VectorAnswer<Uint8Array>>

  /**
   * Moves an envelope under another KEK.
   *
   * @param envelope - Any text.
   * @param context - Any map of text to text.
   * @param targetKekId - The id of a KEK that may wrap.
   */
  rewrap(
    envelope: string,
    context: Readonly<Record<string, string>>,
    targetKekId: string,
  ): VectorAnswer<string> | Promise<VectorAnswer<string>>
}

/** How an implementation did. */
export interface VectorReport {
  /** Envelopes that had to open. */
  readonly opened: number
  /** Inputs that had to be refused for the one fault they have. */
  readonly refused: number
  /** Inputs with several faults, of which the earliest check had to name its own. */
  readonly precedence: number
  /** Contexts that had to be refused as misuse. */
  readonly misuse: number
  /** Re-wraps that had to give an exact text. */
  readonly rewrapped: number
  /** Refusals by the reason that was expected. */
  readonly reasons: Readonly<Record<string, number>>
  /** One line for each answer that was another one; empty when the implementation is right. */
  readonly differences: readonly string[]
}

/** An envelope that opens, with its context and value. */
type Base = EnvelopeWithContext & { readonly value: VectorValue }

/** The KEK that refusals are re-wrapped under. */
const FIRST_KEK = 'v1'

/** A re-wrap ends before this check. */
const AFTER_REWRAP = 'payload_corrupt'

/**
 * Holds an implementation of the envelope format against a file of vectors.
 *
 * @param file - The parsed contents of `@talos/envelope/vectors/v2.json`.
 * @param load - Makes the implementation, given the KEKs that it must hold.
 * @returns What was tried and every difference.
 */
export async function runVectors(
  file: VectorFile,
  load: (keks: readonly VectorKek[]) => VectorSubject | Promise<VectorSubject>,
): Promise<VectorReport> {
  const lists = file as VectorLists
  const subject = await load(vectorKeks(lists))
  const bases = new Map<string, Base>()
  for (const vector of lists.open) bases.set(vector.id, readBase(vector, bases))
  const differences: string[] = []
  const expectThat = (
    isRight: boolean,
    title: string,
    wanted: string,
    answer: VectorAnswer<unknown>,
  ): void => {
    if (isRight) return
    const given = 'refused' in answer ? `was refused as ${answer.refused}` : 'gave a result'
    differences.push(`${title}: must ${wanted}, ${given}`)
  }
  const expectValue = async (title: string, { envelope, context, value }: Base): Promise<void> => {
    const answer = await subject.open(envelope, context)
    expectThat('value' in answer && isValue(answer.value, value), title, 'open to its value', answer)
  }
  const expectRefusal = async (
    title: string,
    { envelope, context }: EnvelopeWithContext,
    reason: string,
  ): Promise<void> => {
    const isRefusal = (answer: VectorAnswer<unknown>): boolean =>
      'refused' in answer && answer.refused === reason
    const opened = await subject.open(envelope, context)
    expectThat(isRefusal(opened), title, `be refused as ${reason}`, opened)
    const moved = await subject.rewrap(envelope, context, FIRST_KEK)
    if (reason === AFTER_REWRAP) {
      const isMoved = 'value' in moved && moved.value.endsWith(sealedPart(envelope))
      expectThat(isMoved, title, 'move and keep its sealed part', moved)
    } else expectThat(isRefusal(moved), title, `not move because of ${reason}`, moved)
  }

  for (const [id, base] of bases) await expectValue(`open ${id}`, base)
  let rewrapped = 0
  for (const { base: id, to } of lists.rewrap) {
    let base = baseOf(bases, id)
    for (const wrap of to) {
      const [, , kekId = ''] = wrap.split(':')
      const title = `rewrap ${id} to ${kekId}`
      const expected = wrap + sealedPart(base.envelope)
      const moved = await subject.rewrap(base.envelope, base.context, kekId)
      expectThat('value' in moved && moved.value === expected, title, 'give its text', moved)
      base = { ...base, envelope: expected }
      await expectValue(title, base)
      rewrapped += 1
    }
  }
  const known = baseOf(bases)
  for (const [index, pairs] of lists.misuse.entries()) {
    await expectRefusal(`misuse ${index}`, { ...known, context: vectorContext(pairs) }, 'misuse')
  }
  const find = (id: string): string => baseOf(bases, id).envelope
  const reasons: Record<string, number> = {}
  let refused = 0
  for (const { base, edit, reason } of lists.refuse) {
    for (const [index, altered] of applyEdit(baseOf(bases, base), edit, find).entries()) {
      await expectRefusal(`refuse ${shortened(edit)} ${index}`, altered, reason)
      reasons[reason] = (reasons[reason] ?? 0) + 1
      refused += 1
    }
  }
  for (const { base, edits, reason } of lists.precedence) {
    const apply = (altered: EnvelopeWithContext, edit: VectorEdit): EnvelopeWithContext => {
      return applyEdit(altered, edit, find)[0] ?? altered
    }
    await expectRefusal(`precedence ${shortened(edits)}`, edits.reduce(apply, baseOf(bases, base)), reason)
  }
  const counts = { opened: bases.size, rewrapped, refused }
  return { ...counts, misuse: lists.misuse.length, precedence: lists.precedence.length, reasons, differences }
}

function readBase(
  { envelope, wrapOf, sealed, context = [['k', 'v']], value = '' }: OpenVector,
  bases: ReadonlyMap<string, Base>,
): Base {
  let whole = vectorText(envelope ?? '')
  if (wrapOf !== undefined) {
    whole = baseOf(bases, wrapOf).envelope
    if (sealed !== undefined) whole = whole.slice(0, -sealedPart(whole).length + 1) + vectorText(sealed)
  }
  return { envelope: whole, context: vectorContext(context), value }
}

function baseOf(bases: ReadonlyMap<string, Base>, id = 'known'): Base {
  const base = bases.get(id)
  if (base === undefined) throw new TypeError(`The vectors name ${id} and do not have it.`)
  return base
}

/** The last colon and what follows it. */
function sealedPart(envelope: string): string {
  return envelope.slice(envelope.lastIndexOf(':'))
}

function isValue(value: Uint8Array, expected: VectorValue): boolean {
  const bytes = vectorValue(expected)
  if (bytes !== null) return equalConstantTime(value, bytes)
  const { bytes: length, sha256: hash } = expected as { readonly bytes: number; readonly sha256: string }
  return value.length === length && encodeHex(sha256(value)) === hash
}

function shortened(edit: unknown): string {
  return JSON.stringify(edit).slice(0, 80)
}
