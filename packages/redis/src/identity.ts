import type { StoreIdentity } from '@talos/envelope'
import type { RedisClient } from './client.ts'
import type { Connection } from './connection.ts'
import type { Deadline } from './deadline.ts'

export const MAX_SEALED_BYTES = 1_048_576 + 28

/** What a look at a server found out. */
export interface Findings {
  readonly incarnation: string
  /** Whether a replica follows the server or did so since the incarnation was renewed. */
  readonly replicated: boolean
  readonly policy: string
  readonly cluster: boolean
  readonly appending: boolean
}

/** Settings of the append-only file with which everything acknowledged is on disk. */
const DURABLE: Readonly<Record<string, string>> = {
  appendonly: 'yes',
  appendfsync: 'always',
  'no-appendfsync-on-rewrite': 'no',
}

/**
 * Asks for the settings of the append-only file, which nothing but `CONFIG` tells.
 *
 * @returns Which of them take the level down, in words; `null` where the server does not say.
 */
export async function durabilityGaps(
  connection: Connection,
  deadline: Deadline,
): Promise<readonly string[] | null> {
  const settings = await connection.settings(Object.keys(DURABLE), deadline)
  if (settings === null) return null
  return Object.entries(DURABLE).flatMap(([name, needed]) =>
    settings[name] === needed
      ? []
      : [
          `${name} is ${String(settings[name] ?? 'unknown')}: a crash may lose the last writes that were acknowledged`,
        ],
  )
}

/** Says what the store is. */
export function identityOf(
  findings: Findings,
  gaps: readonly string[] | null,
  client: RedisClient,
): StoreIdentity {
  const reasons: string[] = []
  if (findings.policy !== 'noeviction') {
    reasons.push(`maxmemory-policy is ${findings.policy}: secrets may be thrown away when memory is full`)
  }
  if (findings.cluster) {
    reasons.push(
      'a failover of a Cluster may lose writes that were acknowledged: replication is asynchronous',
    )
  } else if (findings.replicated || hasSentinels(client)) {
    reasons.push(
      'a failover to a replica may lose writes that were acknowledged: replication is asynchronous',
    )
  }
  if (!findings.appending) {
    reasons.push('appendonly is no: a crash may lose writes that were acknowledged')
  } else if (gaps !== null) {
    reasons.push(...gaps)
  } else if (!findings.cluster) {
    reasons.push(
      'the server does not tell appendfsync: a crash may lose the last writes that were acknowledged',
    )
  }
  return {
    kind: 'redis',
    incarnation: findings.incarnation,
    level: reasons.length === 0 ? 'strong' : 'advisory',
    reasons,
    maxSealedBytes: MAX_SEALED_BYTES,
  }
}

/** A replica that is away now may be promoted later: whoever asks a Sentinel expects failovers. */
function hasSentinels({ options }: RedisClient): boolean {
  return options !== undefined && 'sentinels' in options && Boolean(options.sentinels)
}
