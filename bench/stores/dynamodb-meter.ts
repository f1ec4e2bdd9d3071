import {
  type ConsumedCapacity,
  type DynamoDBClient,
  type TransactWriteItem,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb'

/** Capacity units, as DynamoDB bills them. */
export interface Units {
  readonly read: number
  readonly write: number
  /** Requests that were answered without an error. */
  readonly requests: number
}

const READS = /^(GetItem|BatchGetItem|Query|Scan|TransactGetItems)Command$/
const METERED = /^(GetItem|BatchGetItem|Query|Scan|Transact\w+|(Put|Update|Delete)Item)Command$/

/**
 * Has every request of a client say what it costs, and adds that up. The client has to be the meter's own.
 *
 * The emulator tells of a transaction what one of its actions costs. So with a second client each action is sent in a
 * transaction of its own: the same units, for they are billed by the action, but no atomicity. Conditions must hold.
 */
export class Meter {
  #read = 0
  #write = 0
  #requests = 0

  constructor(client: DynamoDBClient, apart: DynamoDBClient | null = null) {
    client.middlewareStack.add(
      (next, { commandName = '' }) =>
        async (args) => {
          if (!METERED.test(commandName)) return await next(args)
          this.#requests += 1
          const { TransactItems } = args.input as { TransactItems?: TransactWriteItem[] }
          if (apart !== null && commandName === 'TransactWriteItemsCommand') {
            await Promise.all((TransactItems ?? []).map((action) => this.#sendApart(apart, action)))
            return { output: { $metadata: {} }, response: {} }
          }
          const answer = await next({ ...args, input: { ...args.input, ReturnConsumedCapacity: 'TOTAL' } })
          this.#add(
            (answer.output as { ConsumedCapacity?: ConsumedCapacity | ConsumedCapacity[] }).ConsumedCapacity,
            READS.test(commandName),
          )
          return answer
        },
      { step: 'initialize', name: 'meter' },
    )
  }

  /** Runs something and tells what it cost. */
  async cost(run: () => Promise<unknown>): Promise<Units> {
    const before = { read: this.#read, write: this.#write, requests: this.#requests }
    await run()
    return {
      read: this.#read - before.read,
      write: this.#write - before.write,
      requests: this.#requests - before.requests,
    }
  }

  async #sendApart(client: DynamoDBClient, action: TransactWriteItem): Promise<void> {
    const command = new TransactWriteItemsCommand({
      TransactItems: [action],
      ReturnConsumedCapacity: 'TOTAL',
    })
    this.#add((await client.send(command)).ConsumedCapacity, false)
  }

  #add(answered: ConsumedCapacity | ConsumedCapacity[] = [], reads: boolean): void {
    // Transactions tell both kinds apart; elsewhere the operation does.
    for (const { CapacityUnits = 0, ReadCapacityUnits, WriteCapacityUnits } of [answered].flat()) {
      const told = ReadCapacityUnits !== undefined || WriteCapacityUnits !== undefined
      this.#read += told ? (ReadCapacityUnits ?? 0) : reads ? CapacityUnits : 0
      this.#write += told ? (WriteCapacityUnits ?? 0) : reads ? 0 : CapacityUnits
    }
  }
}
