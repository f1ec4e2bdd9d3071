import type { ShardJob } from '@talos/envelope'

/** What tells a job from all others: of equal ones at most one waits or runs. */
export function singletonKeyOf({ operationId, pass, shard }: ShardJob): string {
  return `${operationId}/${pass}/${shard}`
}

/**
 * Reads what a job carries.
 *
 * @throws TypeError for a job of somebody else in the same queue.
 */
export function shardJobOf(data: unknown): ShardJob {
  const { operationId, pass, shard } = (data ?? {}) as Partial<Record<keyof ShardJob, unknown>>
  if (typeof operationId !== 'string' || !Number.isSafeInteger(pass) || !Number.isSafeInteger(shard)) {
    throw new TypeError('The job is not one of a rotation. Give the runner a queue of its own.')
  }
  return { operationId, pass: pass as number, shard: shard as number }
}
