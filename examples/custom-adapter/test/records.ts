import type { StoredSecret } from '@talos/envelope'

/** A record that is long enough and means nothing. */
export function record(name: string, kekId = 'v1', turn = 0): StoredSecret {
  const wrap = `talos:v2:${kekId}:${String(turn).padStart(96, 'A')}`
  return { name, wrap, meta: '{"note":"ŵ 😀 \'\\\\"}', sealed: new Uint8Array(64).fill(turn % 256) }
}

export function creates(names: readonly string[]): { kind: 'create'; secret: StoredSecret }[] {
  return names.map((name) => ({ kind: 'create', secret: record(name) }))
}
