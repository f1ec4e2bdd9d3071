import { setTimeout as pause } from 'node:timers/promises'
import type { World } from './world.ts'

const PAUSE_MS = 20

/** Overwrites secrets by hand, one after the other; a write whose answer is lost is repeated. */
export async function updateByHand(world: World, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const value = world.ledger.newValue()
    await world.persist((operator) => operator.put(name, value))
    world.ledger.acknowledge(name, value)
    await pause(PAUSE_MS)
  }
}

/** An application that goes on calling the model through the gateway, whatever the operator does. */
export class Traffic {
  #stopping = false
  #calls = 0
  readonly #done: Promise<void>

  constructor(world: World) {
    this.#done = this.#run(world)
    // A fault is told by `stop`; until then it must not end the process unheard.
    this.#done.catch(() => {})
  }

  /** Ends the traffic. @returns The number of calls, all of them answered with the right credential underneath */
  async stop(): Promise<number> {
    this.#stopping = true
    await this.#done
    return this.#calls
  }

  async #run(world: World): Promise<void> {
    while (!this.#stopping) {
      await world.persist((operator) => world.checkProxy(operator))
      this.#calls += 1
      await pause(PAUSE_MS)
    }
  }
}
