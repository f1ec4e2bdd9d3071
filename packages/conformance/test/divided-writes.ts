import { setImmediate } from 'node:timers/promises'
import {
  type Change,
  checkChanges,
  KEYRING_DOCUMENT,
  MemoryStore,
  type Outcome,
  type SecretStore,
  StoreError,
} from '@talos/envelope'
import { RemoteStore } from './remote-store.ts'

const PART = 100
const MAX_SEALED_BYTES = 1_048_576 + 28

function inParts(changes: readonly Change[]): readonly (readonly Change[])[] {
  checkChanges(changes, MAX_SEALED_BYTES)
  const count = Math.max(1, Math.ceil(changes.length / PART))
  return Array.from({ length: count }, (_, n) => changes.slice(n * PART, (n + 1) * PART))
}

/** Looks between two parts of a call whether it was aborted, and forgets that the first one was written. */
export class ForgetsParts extends MemoryStore {
  override write: SecretStore['write'] = async (guard, changes, options) => {
    const outcomes: Outcome[] = []
    for (const part of inParts(changes)) {
      await setImmediate()
      if (options?.signal?.aborted) {
        throw new StoreError('ERR_STORE_UNAVAILABLE', 'aborted', { retryable: true })
      }
      outcomes.push(...(await super.write(guard, part)))
    }
    return outcomes
  }
}

/** Reads the keyring document before every part, and takes its failure for that of the whole call. */
export class ReadsBeforeParts extends RemoteStore {
  override write: SecretStore['write'] = async (guard, changes, options) => {
    const outcomes: Outcome[] = []
    for (const part of inParts(changes)) {
      await this.readDocument(KEYRING_DOCUMENT, options)
      outcomes.push(...(await this.send(guard, part, options)))
    }
    return outcomes
  }
}

/** Looks twice before a part whether anybody is there, and says of the whole call what is true of its last part. */
export class SpeaksOfLastPart extends RemoteStore {
  override write: SecretStore['write'] = async (guard, changes, options) => {
    const outcomes: Outcome[] = []
    const greet = () => this.identify(options)
    for (const part of inParts(changes)) {
      await greet().catch(greet)
      outcomes.push(...(await this.send(guard, part, options)))
    }
    return outcomes
  }
}
