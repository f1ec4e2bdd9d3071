import type { Redis } from 'ioredis'
import type { Clients } from './clients.ts'

interface Node {
  readonly id: string
  readonly port: number
  readonly client: Redis
}

/** One slot of a Cluster, moved from master to master key by key, as an operator's reshard does. */
export class SlotMover {
  static #last: Promise<void> = Promise.resolve()
  readonly #nodes: readonly Node[]
  readonly #slot: number
  #owner: number
  #moving: Promise<void> | undefined
  #stopped = false
  /** How many times the slot has arrived somewhere. */
  moves = 0

  private constructor(nodes: readonly Node[], slot: number, owner: number) {
    this.#nodes = nodes
    this.#slot = slot
    this.#owner = owner
  }

  static async of(clients: Clients, ports: readonly number[], key: string): Promise<SlotMover> {
    const nodes = await Promise.all(
      ports.map(async (port) => {
        const client = clients.redis(port)
        return { port, client, id: String(await client.cluster('MYID')) }
      }),
    )
    const first = nodes[0]!.client
    const slot = Number(await first.cluster('KEYSLOT', key))
    const ranges = await first.cluster('SLOTS')
    const owner = ranges.find(([from, to]) => from <= slot && slot <= to)?.[2]?.[1]
    return new SlotMover(
      nodes,
      slot,
      nodes.findIndex(({ port }) => port === owner),
    )
  }

  /** The port of the node that has the slot. */
  get port(): number {
    return this.#nodes[this.#owner]!.port
  }

  /** Moves the slot again and again until `stop`. */
  start(): void {
    const loop = async () => {
      while (!this.#stopped) await this.move()
    }
    this.#moving = loop()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#moving
  }

  /** Lets the move that is under way end, and no other begin until the function it answers is called. */
  static async standStill(): Promise<() => void> {
    const before = SlotMover.#last
    const { promise, resolve } = Promise.withResolvers<void>()
    SlotMover.#last = before.then(() => promise)
    await before
    return resolve
  }

  /** Moves the slot to the next master. One slot at a time: masters that take slots at once may take the same epoch. */
  async move(): Promise<void> {
    const before = SlotMover.#last
    const moved = before.then(() => this.#move())
    SlotMover.#last = moved.catch(() => {})
    await moved
  }

  async #move(): Promise<void> {
    const [from, next] = [this.#nodes[this.#owner]!, (this.#owner + 1) % this.#nodes.length]
    const to = this.#nodes[next]!
    await to.client.cluster('SETSLOT', this.#slot, 'IMPORTING', from.id)
    await from.client.cluster('SETSLOT', this.#slot, 'MIGRATING', to.id)
    for (;;) {
      const keys = await from.client.cluster('GETKEYSINSLOT', this.#slot, 1)
      if (keys.length === 0) break
      await from.client.migrate('127.0.0.1', to.port, '', 0, 5_000, 'KEYS', ...(keys as string[]))
    }
    for (const { client } of [to, from, ...this.#nodes]) {
      await client.cluster('SETSLOT', this.#slot, 'NODE', to.id)
    }
    await this.#agreed()
    this.#owner = next
    this.moves += 1
  }

  /**
   * Waits until every master knows the epochs of the others. One that took a slot without knowing the highest would lose it
   * again to an old message of its former owner, and its keys with it.
   */
  async #agreed(): Promise<void> {
    for (;;) {
      const views = await Promise.all(
        this.#nodes.map(async ({ client }) => String(await client.cluster('NODES'))),
      )
      const epochs = views.map((view) => {
        const lines = view.trim().split('\n')
        return lines
          .map((line) => line.split(' '))
          .map(([id, , , , , , epoch]) => `${id} ${epoch}`)
          .sort()
          .join()
      })
      if (new Set(epochs).size === 1) return
    }
  }
}
