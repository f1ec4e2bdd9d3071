import { randomInt } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCodec, DecryptError, FormatError } from '../../src/index.ts'
import { vectorKeks } from '../../src/testing/vector-file.ts'
import { Mutator } from '../support/mutator.ts'
import { TWELVE, VECTORS, vectorKeys } from '../support/vectors.ts'
import { type ReferenceKek, read } from '../vectors/v2/reference.ts'

/** Continuous integration tries ten times as many as a run at the desk. */
const INPUTS = process.env['CI'] === undefined ? 100_000 : 1_000_000
const SEED = Number(process.env['TALOS_FUZZ_SEED'] ?? randomInt(2 ** 32))
/** Every so many of the dear checks: `unwrap` of what does not parse, and the second opinion on what does. */
const SAMPLED = 8

const codec = await createCodec({ keys: vectorKeys() })
/** A codec knows no KEK that is loaded and may not open. */
const keks: readonly ReferenceKek[] = vectorKeks(VECTORS).map(({ mayOpen: _, ...kek }) => kek)

type Context = Readonly<Record<string, string>>

/** The check that `peek` names; `null` when it reads the envelope. Any error but a `FormatError` fails the test. */
function peeked(envelope: string): string | null {
  try {
    codec.peek(envelope)
    return null
  } catch (error) {
    if (error instanceof FormatError && error.reason !== null) return error.reason
    throw error
  }
}

/** The check that `unwrap` names, or `opened`. Any error but a `DecryptError` fails the test. */
async function unwrapped(envelope: string, context: Context): Promise<string> {
  try {
    await codec.unwrap(envelope, context)
    return 'opened'
  } catch (error) {
    if (error instanceof DecryptError) return error.reason
    throw error
  }
}

/** What another program makes of it that was written from the specification. */
function specified(envelope: string, context: Context): string {
  const answer = read(keks, envelope, Object.entries(context))
  return 'refused' in answer ? answer.refused : 'opened'
}

/** The one answer of all that were asked. */
async function answerOf(envelope: string, context: Context, isSampled: boolean): Promise<string> {
  const byForm = peeked(envelope)
  const answers = new Set<string>()
  if (byForm !== null) answers.add(byForm)
  if (byForm === null || isSampled) answers.add(await unwrapped(envelope, context))
  if (byForm !== null || isSampled) answers.add(specified(envelope, context))
  const [answer = '', ...others] = answers
  if (others.length > 0) throw new Error(`The answers differ: ${[answer, ...others].join(', ')}`)
  return answer
}

describe('any text', () => {
  const { stackTraceLimit } = Error
  beforeAll(() => {
    // Most of the time would go into stacks that nobody looks at.
    Error.stackTraceLimit = 0
  })
  afterAll(() => {
    Error.stackTraceLimit = stackTraceLimit
  })

  it('gets the answer of the specification', async () => {
    const wholes = TWELVE.map(({ envelope }) => envelope)
    const mutator = new Mutator(SEED, wholes)
    const counts = new Map<string, number>()
    const startedAt = performance.now()
    for (let input = 0; input < INPUTS; input++) {
      const { context, envelope: whole } = mutator.pick(TWELVE)
      const text = mutator.next(whole)
      const answer = await answerOf(text, context, input % SAMPLED === 0).catch((error: unknown) => {
        throw new Error(`Input ${input} of seed ${SEED}: ${JSON.stringify(text)}`, { cause: error })
      })
      if (answer === 'opened' && !wholes.includes(text)) {
        throw new Error(`Input ${input} of seed ${SEED} opened: ${JSON.stringify(text)}`)
      }
      counts.set(answer, (counts.get(answer) ?? 0) + 1)
    }
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    const byAnswer = [...counts].sort().map(([answer, count]) => `${answer} ${count}`)
    const more = INPUTS < 1_000_000 ? ' (1000000 where CI is set)' : ''
    console.log(
      `fuzz: ${INPUTS} inputs${more} in ${seconds} s, TALOS_FUZZ_SEED=${SEED}, 0 altered envelopes opened, ` +
        `0 differences from the specification (${byAnswer.join(', ')})`,
    )
    const reasons = [
      'unsupported',
      'malformed',
      'kek_unknown',
      'kek_mismatch',
      'wrap_corrupt',
      'payload_corrupt',
    ]
    for (const answer of [...reasons, 'commitment_mismatch', 'opened']) {
      expect(counts.get(answer) ?? 0).toBeGreaterThan(INPUTS / 1000)
    }
  }, 240_000)
})
