import type { ConfiguredKek } from './build-keyring.ts'
import { checkKeyProvider, type KeyProvider } from './key-provider.ts'

/** KEK id to the key provider of that KEK. */
export type RemoteKeks = Readonly<Record<string, KeyProvider>>

/**
 * Checks the remote KEKs given to a key source beside those that it reads.
 *
 * @param remoteKeks - What the caller gave.
 * @returns The KEKs, in the order given.
 * @throws TypeError when one of them is no key provider.
 */
export function configuredRemoteKeks(remoteKeks: RemoteKeks = {}): readonly ConfiguredKek[] {
  return Object.entries(remoteKeks).map(([id, provider]) => {
    checkKeyProvider(provider)
    return { id, place: { before: 'remoteKeks.', after: '' }, value: provider }
  })
}
