import type { DynamoDBClient } from '@aws-sdk/client-dynamodb'

/** Capacity units, as DynamoDB bills them. */
export interface Units {
  readonly read: number
  readonly write: number
  /** Requests that were answered without an error. */
  readonly requests: number
}

/** What DynamoDB says of one table in an answer. In transactions both kinds are told apart, elsewhere the operation does. */
interface Consumed {
  readonly CapacityUnits?: number
  readonly ReadCapacityUnits?: number
  readonly WriteCapacityUnits?: number
}

const READS = /^(GetItem|BatchGetItem|Query|Scan|TransactGetItems)Command$/
const METERED = /^(GetItem|BatchGetItem|Query|Scan|Transact\w+|(Put|Update|Delete)Item)Command$/

/** Has every request of a client say what it costs, and adds that up. The client has to be the meter's own. */
export class Meter {
  #read = 0
  #write = 0
  #requests = 0

  constructor(client: DynamoDBClient) {
    client.middlewareStack.add(
      (next, { commandName = '' }) =>
        async (args) => {
          if (!METERED.test(commandName)) return await next(args)
          const answer = await next({ ...args, input: { ...args.input, ReturnConsumedCapacity: 'TOTAL' } })
          const { ConsumedCapacity = [] } = answer.output as { ConsumedCapacity?: Consumed | Consumed[] }
          this.#requests += 1
          for (const consumed of [ConsumedCapacity].flat()) this.#add(consumed, READS.test(commandName))
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

  #add({ CapacityUnits = 0, ReadCapacityUnits, WriteCapacityUnits }: Consumed, reads: boolean): void {
    if (ReadCapacityUnits !== undefined || WriteCapacityUnits !== undefined) {
      this.#read += ReadCapacityUnits ?? 0
      this.#write += WriteCapacityUnits ?? 0
    } else if (reads) this.#read += CapacityUnits
    else this.#write += CapacityUnits
  }
}
