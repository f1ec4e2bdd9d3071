import type { EventListener } from '../events.ts'
import { type RotationTotals, sumOfTotals } from './operation.ts'
import type { LoggedShard, OperationRecord } from './operation-record.ts'

/** What one instance knows of the progress of an operation, for those who listen to it. */
export class OperationProgress {
  readonly #emit: EventListener
  /** Of one round: an older one is part of the operation's own totals. */
  #round = ''
  readonly #shards = new Map<number, RotationTotals>()

  constructor(emit: EventListener) {
    this.#emit = emit
  }

  /** Takes in what was read of the shards. */
  see(record: OperationRecord, shards: readonly LoggedShard[]): void {
    const known = this.#shardsOf(record)
    for (const { index, record: shard } of shards) known.set(index, shard.totals)
  }

  /** Takes in what a worker of this instance has saved, and tells it. */
  save(record: OperationRecord, shard: number, totals: RotationTotals): void {
    this.#shardsOf(record).set(shard, totals)
    this.tell(record)
  }

  /** Tells how an operation stands. */
  tell(record: OperationRecord): void {
    const { id: operationId, status, pass, targetKekId, dryRun } = record
    // After the end the shards are part of the operation's own totals.
    const parts = record.shards === null ? [] : this.#shardsOf(record).values()
    const { scanned, rewrapped, failed } = sumOfTotals([record.totals, ...parts])
    const totals = { scanned, rewrapped, failed }
    this.#emit({ type: 'rotation', operationId, status, pass, targetKekId, dryRun, ...totals })
  }

  #shardsOf({ id, round }: OperationRecord): Map<number, RotationTotals> {
    const of = `${id}/${round}`
    if (this.#round !== of) this.#shards.clear()
    this.#round = of
    return this.#shards
  }
}
