import { encodeHex } from '../bytes.ts'
import { equalConstantTime, sha256 } from '../crypto/digest.ts'
import { applyEdit, type EnvelopeWithContext } from './vector-edits.ts'
import {
  type OpenVector,
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

/** What a refusal that names no base is made of. */
const DEFAULT_BASE = 'known'

/** A re-wrap ends before the check of the payload. */
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
  const run = new Run(lists, await load(vectorKeks(lists)))
  await run.open()
  await run.rewrap()
  await run.misuse()
  await run.refuse()
  return run.report()
}

class Run {
  readonly #file: VectorLists
  readonly #subject: VectorSubject
  readonly #bases = new Map<string, EnvelopeWithContext & { readonly value: VectorValue }>()
  readonly #differences: string[] = []
  readonly #reasons: Record<string, number> = {}
  readonly #counts = { refused: 0, precedence: 0, misuse: 0, rewrapped: 0 }
  readonly #targetKekId: string

  constructor(file: VectorLists, subject: VectorSubject) {
    this.#file = file
    this.#subject = subject
    this.#targetKekId = file.keks.find(({ mayOpen }) => mayOpen !== false)?.id ?? ''
    for (const vector of file.open) {
      const { context = [['k', 'v']], value = '' } = vector
      this.#bases.set(vector.id, {
        envelope: this.#textOf(vector),
        context: vectorContext(context),
        value,
      })
    }
  }

  #textOf({ envelope, wrapOf, sealed }: OpenVector): string {
    if (envelope !== undefined) return vectorText(envelope)
    const base = this.#base(wrapOf ?? '').envelope
    return sealed === undefined ? base : base.slice(0, base.lastIndexOf(':') + 1) + vectorText(sealed)
  }

  #base(id: string): EnvelopeWithContext & { readonly value: VectorValue } {
    const base = this.#bases.get(id)
    if (base === undefined) throw new TypeError(`The file of vectors names ${id} before it has it.`)
    return base
  }

  async open(): Promise<void> {
    for (const [id, { envelope, context, value }] of this.#bases) {
      await this.#expectValue(`open ${id}`, envelope, context, value)
    }
  }

  async #expectValue(
    title: string,
    envelope: string,
    context: Readonly<Record<string, string>>,
    expected: VectorValue,
  ): Promise<void> {
    const answer = await this.#subject.open(envelope, context)
    if ('refused' in answer) this.#differences.push(`${title}: must open, was refused as ${answer.refused}`)
    else if (!isValue(answer.value, expected)) this.#differences.push(`${title}: opened to another value`)
  }

  async rewrap(): Promise<void> {
    for (const { base, to } of this.#file.rewrap) {
      const { context, value, ...first } = this.#base(base)
      let { envelope } = first
      for (const wrap of to) {
        const kekId = wrap.split(':')[2] ?? ''
        const title = `rewrap ${base} to ${kekId}`
        const expected = wrap + envelope.slice(envelope.lastIndexOf(':'))
        const answer = await this.#subject.rewrap(envelope, context, kekId)
        if ('refused' in answer)
          this.#differences.push(`${title}: must move, was refused as ${answer.refused}`)
        else if (answer.value !== expected) this.#differences.push(`${title}: gave another text`)
        await this.#expectValue(title, expected, context, value)
        envelope = expected
        this.#counts.rewrapped += 1
      }
    }
  }

  async misuse(): Promise<void> {
    const [{ envelope } = { envelope: '' }] = this.#bases.values()
    for (const [index, context] of this.#file.misuse.entries()) {
      await this.#expectRefusal(`misuse ${index}`, { envelope, context: vectorContext(context) }, 'misuse')
      this.#counts.misuse += 1
    }
  }

  async refuse(): Promise<void> {
    const find = (id: string): string => this.#base(id).envelope
    for (const { base = DEFAULT_BASE, edit, reason } of this.#file.refuse) {
      for (const [index, altered] of applyEdit(this.#base(base), edit, find).entries()) {
        await this.#expectRefusal(`refuse ${base} ${shortened(edit)} (${index})`, altered, reason)
        this.#reasons[reason] = (this.#reasons[reason] ?? 0) + 1
        this.#counts.refused += 1
      }
    }
    for (const { base = DEFAULT_BASE, edits, reason } of this.#file.precedence) {
      const altered = edits.reduce<EnvelopeWithContext>(
        (envelope, edit) => applyEdit(envelope, edit, find)[0] ?? envelope,
        this.#base(base),
      )
      await this.#expectRefusal(`precedence ${base} ${shortened(edits)}`, altered, reason)
      this.#counts.precedence += 1
    }
  }

  async #expectRefusal(
    title: string,
    { envelope, context }: EnvelopeWithContext,
    reason: string,
  ): Promise<void> {
    const opened = await this.#subject.open(envelope, context)
    if (reasonOf(opened) !== reason) {
      this.#differences.push(`${title}: must be refused as ${reason}, ${told(opened)}`)
    }
    const moved = await this.#subject.rewrap(envelope, context, this.#targetKekId)
    if (reason === AFTER_REWRAP) {
      const keeps = 'value' in moved && moved.value.endsWith(envelope.slice(envelope.lastIndexOf(':')))
      if (!keeps) this.#differences.push(`${title}: must move and keep its sealed part, ${told(moved)}`)
    } else if (reasonOf(moved) !== reason) {
      this.#differences.push(`${title}: must not move because of ${reason}, ${told(moved)}`)
    }
  }

  report(): VectorReport {
    const opened = this.#bases.size
    return { opened, ...this.#counts, reasons: this.#reasons, differences: this.#differences }
  }
}

function isValue(value: Uint8Array, expected: VectorValue): boolean {
  const bytes = vectorValue(expected)
  if (bytes !== null) return equalConstantTime(value, bytes)
  const { bytes: length, sha256: hash } = expected as { readonly bytes: number; readonly sha256: string }
  return value.length === length && encodeHex(sha256(value)) === hash
}

function reasonOf(answer: VectorAnswer<unknown>): string | null {
  return 'refused' in answer ? answer.refused : null
}

function told(answer: VectorAnswer<unknown>): string {
  return 'refused' in answer ? `was refused as ${answer.refused}` : 'was not refused'
}

function shortened(edit: unknown): string {
  const text = JSON.stringify(edit)
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}
