import type { PgBossInstance } from './pg-boss.ts'

const POLICY = 'exclusive'
/** The least that pg-boss takes. */
const HEARTBEAT_SECONDS = 10
const HOUR_SECONDS = 3_600

/**
 * Makes the queue, and the one for dead letters, where there is none; a queue that is there keeps its settings.
 *
 * @throws TypeError where the queue that is there would take a job twice or keep that of a dead worker for ever.
 */
export async function prepareQueue(boss: PgBossInstance, name: string, deadLetter?: string): Promise<void> {
  if ((await boss.getQueue(name)) === null) {
    if (deadLetter !== undefined && (await boss.getQueue(deadLetter)) === null)
      await boss.createQueue(deadLetter)
    await boss.createQueue(name, {
      policy: POLICY,
      heartbeatSeconds: HEARTBEAT_SECONDS,
      // pg-boss takes at most a day. A shard that needs longer is handed on in time.
      expireInSeconds: 23 * HOUR_SECONDS,
      deleteAfterSeconds: 24 * HOUR_SECONDS,
      retryLimit: 10,
      retryDelay: 1,
      retryBackoff: true,
      retryDelayMax: 60,
      ...(deadLetter === undefined ? {} : { deadLetter }),
    })
  }
  // Read again: another process may have made it meanwhile, and a version of pg-boss without heartbeats drops the setting.
  const queue = await boss.getQueue(name)
  if (queue?.policy !== POLICY) {
    throw new TypeError(
      `The queue "${name}" has the policy ${queue?.policy}, under which a job would wait several times. ` +
        `Name another queue, or make it with { policy: '${POLICY}', heartbeatSeconds: ${HEARTBEAT_SECONDS} }.`,
    )
  }
  if (typeof queue.heartbeatSeconds !== 'number') {
    throw new TypeError(
      `The queue "${name}" has no heartbeatSeconds, so that the job of a killed worker would stay its own. ` +
        `Set them: await boss.updateQueue('${name}', { heartbeatSeconds: ${HEARTBEAT_SECONDS} }), with pg-boss 12.12 or later.`,
    )
  }
}
