import {
  type CancellationReason,
  type TransactWriteItem,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb'
import type { Change, Outcome, StoredSecret } from '@talos/envelope'
import type { Deadline } from './deadline.ts'
import type { KeyringItems } from './keyring-items.ts'
import { GUARDS, type Item, type Layout, revisionOf, shardOf, textOf } from './layout.ts'
import type { Requests } from './requests.ts'
import { newSealedId, placeOf, type SecretItems } from './secret-items.ts'

/** The most changes and bytes of one transaction. DynamoDB takes 100 actions and 4 MB. */
const TRANSACTION_LIMIT = { changes: 24, bytes: 3_000_000 } as const

const FAILED = 'ConditionalCheckFailed'

/** A change on its way. */
interface Pending {
  readonly change: Change
  readonly index: number
  /** Whether sealed bytes are thought to lie in an item of their own, to be deleted with the change. */
  readonly clears: boolean
}

/** Applies changes in transactions. */
export class Transactions {
  readonly #requests: Requests
  readonly #layout: Layout
  readonly #secrets: SecretItems
  readonly #keyring: KeyringItems

  constructor(requests: Requests, layout: Layout, secrets: SecretItems, keyring: KeyringItems) {
    this.#requests = requests
    this.#layout = layout
    this.#secrets = secrets
    this.#keyring = keyring
  }

  /**
   * Applies changes that fit into one transaction. One whose condition does not hold undoes all of it; then the others are sent
   * again without it.
   *
   * @param guardNumber - The guard item to be checked. Transactions under way at once had better name different ones.
   * @returns One outcome per change, in order.
   */
  async apply(
    guard: number,
    changes: readonly Change[],
    guardNumber: number,
    deadline: Deadline,
  ): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = []
    let pending: readonly Pending[] = changes.map((change, index) => ({ change, index, clears: false }))
    while (pending.length > 0) {
      pending = await this.#step(guard, pending, guardNumber, outcomes, deadline)
    }
    return outcomes
  }

  /** Sends a transaction and answers what is left to be sent. */
  async #step(
    guard: number,
    pending: readonly Pending[],
    guardNumber: number,
    outcomes: Outcome[],
    deadline: Deadline,
  ): Promise<readonly Pending[]> {
    const guarded = pending.some(({ change }) => change.kind !== 'delete')
    const actions = pending.map((one) => this.#actions(one))
    let attempts = 0
    const answer = await this.#requests.write(() => {
      // Another guard item each time: a conflict may have been over the last one.
      const check = guarded ? [this.#check(guard, (guardNumber + attempts) % GUARDS)] : []
      attempts += 1
      return new TransactWriteItemsCommand({ TransactItems: [...check, ...actions.flat()] })
    }, deadline)
    if (answer.kind !== 'cancelled') {
      for (const { index } of pending) outcomes[index] = 'done'
      return []
    }
    const { reasons } = answer
    if (guarded && reasons[0]?.Code === FAILED) {
      const there = revisionOf(reasons[0].Item)
      if (await this.#keyring.catchUp(guard, there, deadline)) return pending
      return await this.#fenced(pending, outcomes, deadline)
    }
    let at = guarded ? 1 : 0
    return pending.flatMap((one, n) => {
      const reason = reasons[at]
      at += actions[n]?.length ?? 0
      return decide(one, reason, outcomes)
    })
  }

  /** Nothing takes effect but deletes. What took effect before the fence is not denied. */
  async #fenced(
    pending: readonly Pending[],
    outcomes: Outcome[],
    deadline: Deadline,
  ): Promise<readonly Pending[]> {
    const names = pending.flatMap(({ change }) => (change.kind === 'delete' ? [] : [change.secret.name]))
    // DynamoDB does not promise to look at every condition once one has failed, so the records are read.
    const wraps = await this.#secrets.wraps(names, deadline)
    return pending.filter(({ change, index }) => {
      if (change.kind === 'delete') return true
      outcomes[index] = wraps.get(change.secret.name) === change.secret.wrap ? 'already' : 'fenced'
      return false
    })
  }

  #check(guard: number, number: number): TransactWriteItem {
    return {
      ConditionCheck: {
        TableName: this.#requests.table,
        Key: this.#layout.guard(number),
        ConditionExpression: 'revision = :guard',
        ExpressionAttributeValues: { ':guard': { N: String(guard) } },
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      },
    }
  }

  /** What a change does: to its header, and to sealed bytes that lie apart. */
  #actions({ change, clears }: Pending): readonly TransactWriteItem[] {
    const name = change.kind === 'delete' ? change.name : change.secret.name
    const target = {
      TableName: this.#requests.table,
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    } as const
    const key = this.#layout.secret(name)
    const cleared: readonly TransactWriteItem[] = clears
      ? [{ Delete: { TableName: this.#requests.table, Key: this.#layout.sealed(name) } }]
      : []
    const place = ` AND attribute_${clears ? '' : 'not_'}exists(sealedId)`
    switch (change.kind) {
      case 'delete':
        return [
          {
            Delete: {
              ...target,
              Key: key,
              ConditionExpression: `wrap = :expected${place}`,
              ExpressionAttributeValues: { ':expected': { S: change.expectedWrap } },
            },
          },
          ...cleared,
        ]
      case 'rewrap':
        return [
          {
            Update: {
              ...target,
              Key: key,
              UpdateExpression: 'SET wrap = :wrap, meta = :meta',
              // A change to the wrap text that is there has taken effect already.
              ConditionExpression: 'wrap = :expected AND wrap <> :wrap',
              ExpressionAttributeValues: {
                ':expected': { S: change.expectedWrap },
                ':wrap': { S: change.secret.wrap },
                ':meta': { S: change.secret.meta },
              },
            },
          },
        ]
      case 'create':
        return this.#puts(change.secret, { ConditionExpression: 'attribute_not_exists(wrap)' })
      case 'replace': {
        const apart = placeOf(change.secret.sealed) === 'apart'
        const puts = this.#puts(change.secret, {
          // Sealed bytes that go apart overwrite those that were there.
          ConditionExpression: `wrap = :expected AND wrap <> :wrap${apart ? '' : place}`,
          ExpressionAttributeValues: {
            ':expected': { S: change.expectedWrap },
            ':wrap': { S: change.secret.wrap },
          },
        })
        return apart ? puts : [...puts, ...cleared]
      }
    }
  }

  #puts(
    { name, wrap, meta, sealed }: StoredSecret,
    condition: { readonly ConditionExpression: string; readonly ExpressionAttributeValues?: Item },
  ): readonly TransactWriteItem[] {
    const table = { TableName: this.#requests.table }
    const header = { ...this.#layout.secret(name), wrap: { S: wrap }, meta: { S: meta } }
    const put = (item: Item): TransactWriteItem => ({
      Put: { ...table, Item: item, ...condition, ReturnValuesOnConditionCheckFailure: 'ALL_OLD' },
    })
    if (placeOf(sealed) === 'inline') return [put({ ...header, sealed: { B: sealed } })]
    const sealedId = { S: newSealedId() }
    const apart = { ...this.#layout.sealed(name), sealedId, sealed: { B: sealed } }
    return [put({ ...header, sealedId }), { Put: { ...table, Item: apart } }]
  }
}

/** Splits the changes of a call into what fits into one transaction each. */
export function inTransactions(changes: readonly Change[]): readonly (readonly Change[])[] {
  const parts: Change[][] = []
  let bytes = 0
  for (const change of changes) {
    const own = change.kind === 'delete' ? 0 : weightOf(change.secret)
    const last = parts.at(-1)
    if (
      last === undefined ||
      last.length === TRANSACTION_LIMIT.changes ||
      bytes + own > TRANSACTION_LIMIT.bytes
    ) {
      parts.push([change])
      bytes = own
    } else {
      last.push(change)
      bytes += own
    }
  }
  return parts
}

/** The guard item that the first transaction of a call checks. */
export function guardNumberOf(changes: readonly Change[]): number {
  const [first] = changes
  if (first === undefined) return 0
  return shardOf(first.kind === 'delete' ? first.name : first.secret.name) % GUARDS
}

/** Takes note of an outcome, or answers what has to be sent again. */
function decide(
  one: Pending,
  reason: CancellationReason | undefined,
  outcomes: Outcome[],
): readonly Pending[] {
  if (reason?.Code !== FAILED) return [one]
  const { change, index } = one
  const there = textOf(reason.Item, 'wrap')
  if (change.kind !== 'delete' && there === change.secret.wrap) outcomes[index] = 'already'
  else if (there === undefined) outcomes[index] = 'missing'
  else if (change.kind === 'create' || there !== change.expectedWrap) outcomes[index] = 'changed'
  else return [{ ...one, clears: textOf(reason.Item, 'sealedId') !== undefined }]
  return []
}

function weightOf(secret: { readonly meta: string; readonly sealed?: Uint8Array }): number {
  return (secret.sealed?.length ?? 0) + secret.meta.length * 3 + 3_000
}
