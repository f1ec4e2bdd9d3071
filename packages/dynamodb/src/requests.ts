import {
  type $Command,
  DescribeTableCommand,
  type DynamoDBClientResolvedConfig,
  type ServiceInputTypes,
  type ServiceOutputTypes,
} from '@aws-sdk/client-dynamodb'
import { StoreError } from '@talos/envelope'
import type { DynamodbClient } from './client.ts'
import type { Deadline } from './deadline.ts'
import { type Failure, failureOf, isHarmless } from './failures.ts'
import { checkKey } from './table-key.ts'

/** A command of the AWS SDK. */
export type Command<I extends ServiceInputTypes, O extends ServiceOutputTypes> = $Command<
  I,
  O,
  DynamoDBClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes
>

/** How a request ended that was answered: well, or by a condition that did not hold. */
export type Answer<O> =
  | { readonly kind: 'done'; readonly output: O }
  | Extract<Failure, { kind: 'cancelled' | 'condition' }>

/** Which effect a request may have. */
export type Effect = 'reads' | 'writes'

/** Another attempt is begun only with so much time left: so many times what the slowest one took, and no less than this. */
const TIMES_SLOWEST = 3
const LEAST_MS = 20
const LONGEST_PAUSE_MS = { conflict: 100, throttled: 1_000 } as const
const FIRST_PAUSE_MS = { conflict: 5, throttled: 25 } as const

/** Sends commands until DynamoDB takes them or the call's time is up. */
export class Requests {
  readonly table: string
  readonly #client: DynamodbClient

  constructor(client: DynamodbClient, table: string) {
    this.#client = client
    this.table = table
  }

  /** Reads. @throws StoreError `ERR_STORE_UNAVAILABLE` and what the table or the client is not fit for */
  async read<I extends ServiceInputTypes, O extends ServiceOutputTypes>(
    make: () => Command<I, O>,
    deadline: Deadline,
  ): Promise<O> {
    const answer = await this.#insist(make, deadline, 'reads')
    if (answer.kind === 'done') return answer.output
    throw new TypeError('a read has no condition')
  }

  /**
   * Writes. Each attempt is a request of its own; the SDK's repetitions of one carry the same `ClientRequestToken`.
   *
   * @param make - Is called for each attempt.
   * @throws StoreError `ERR_STORE_OUTCOME_UNKNOWN` where an attempt may have taken effect
   */
  write<I extends ServiceInputTypes, O extends ServiceOutputTypes>(
    make: () => Command<I, O>,
    deadline: Deadline,
  ): Promise<Answer<O>> {
    return this.#insist(make, deadline, 'writes')
  }

  async #insist<I extends ServiceInputTypes, O extends ServiceOutputTypes>(
    make: () => Command<I, O>,
    deadline: Deadline,
    effect: Effect,
  ): Promise<Answer<O>> {
    const fate = new Fate()
    let obstacle: string | null = null
    let slowestMs = 0
    for (let attempt = 1; ; attempt += 1) {
      const mayBeWritten = effect === 'writes' && fate.mayHaveEffect
      // An attempt that would be cut short leaves an outcome unknown that is known now.
      const leastMs = attempt === 1 ? 0 : Math.max(LEAST_MS, slowestMs * TIMES_SLOWEST)
      if (deadline.passed || deadline.leftMs < leastMs) {
        throw deadline.refusal(obstacle, mayBeWritten)
      }
      const start = performance.now()
      const failure = await this.#once(make(), deadline, fate)
      slowestMs = Math.max(slowestMs, performance.now() - start)
      if (failure.kind === 'done' || failure.kind === 'cancelled' || failure.kind === 'condition')
        return failure
      if (failure.kind !== 'busy') {
        if (failure.kind === 'final' && failure.invalid) await this.#checkTable(deadline)
        throw ended(failure, deadline, effect === 'writes' && fate.mayHaveEffect)
      }
      obstacle = failure.why
      await deadline.pause(pauseMs(attempt, failure.throttled))
    }
  }

  /** Looks whether the table is the reason why a request was taken for invalid. */
  async #checkTable(deadline: Deadline): Promise<void> {
    const fate = new Fate()
    const answer = await this.#once(new DescribeTableCommand({ TableName: this.table }), deadline, fate)
    if (answer.kind === 'done') checkKey(this.table, answer.output.Table ?? {})
  }

  async #once<I extends ServiceInputTypes, O extends ServiceOutputTypes>(
    command: Command<I, O>,
    deadline: Deadline,
    fate: Fate,
  ): Promise<Failure | { readonly kind: 'done'; readonly output: O }> {
    const abort = new AbortController()
    fate.watch(command, abort.signal)
    let stop = (): void => {}
    const passed = new Promise<never>((_, reject) => {
      stop = deadline.onPassed(() => {
        abort.abort()
        // The SDK does not look at the signal while it fetches credentials.
        reject(new Error('aborted'))
      })
    })
    passed.catch(() => {})
    try {
      const sent = this.#client.send(command, { abortSignal: abort.signal })
      sent.catch(() => {})
      return { kind: 'done', output: await Promise.race([sent, passed]) }
    } catch (error) {
      return failureOf(error, this.table)
    } finally {
      stop()
    }
  }
}

/** What is known of the requests that one step has sent, the SDK's own repetitions among them. */
class Fate {
  #underWay = 0
  #lost = false

  /** Whether one of them may have taken effect, or may do so yet. */
  get mayHaveEffect(): boolean {
    return this.#lost || this.#underWay > 0
  }

  /**
   * Looks at each request of a command, behind the SDK's loop of repetitions. The client is not touched.
   *
   * @param ended - Nothing is sent any more once it is aborted: what was said not to be written never is.
   */
  watch<I extends ServiceInputTypes, O extends ServiceOutputTypes>(
    command: Command<I, O>,
    ended: AbortSignal,
  ): void {
    command.middlewareStack.add(
      (next) => async (request) => {
        ended.throwIfAborted()
        this.#underWay += 1
        try {
          return await next(request)
        } catch (error) {
          if (!isHarmless(error)) this.#lost = true
          throw error
        } finally {
          this.#underWay -= 1
        }
      },
      { step: 'deserialize', priority: 'high', name: 'talosFate' },
    )
  }
}

/** The error of a step that is not repeated. */
function ended(
  failure: Exclude<Failure, { kind: 'busy' }>,
  deadline: Deadline,
  mayBeWritten: boolean,
): Error {
  if (deadline.passed) return deadline.refusal(null, mayBeWritten)
  if (failure.kind === 'final' && !mayBeWritten) return failure.error
  const cause = failure.kind === 'final' ? failure.error : failure.kind === 'lost' ? failure.cause : undefined
  const said = cause?.message ?? 'no answer'
  const details = { retryable: true, cause }
  if (!mayBeWritten) {
    return new StoreError(
      'ERR_STORE_UNAVAILABLE',
      `DynamoDB did not answer (${said}); nothing was written`,
      details,
    )
  }
  return new StoreError(
    'ERR_STORE_OUTCOME_UNKNOWN',
    `DynamoDB did not answer after a write was sent (${said}); repeat the call or read again`,
    details,
  )
}

function pauseMs(attempt: number, throttled: boolean): number {
  const kind = throttled ? 'throttled' : 'conflict'
  return Math.min(LONGEST_PAUSE_MS[kind], FIRST_PAUSE_MS[kind] * 2 ** Math.min(attempt - 1, 10))
}
