import { buildKeyring, type KeyConfiguration } from './build-keyring.ts'
import type { KeySource } from './key-source.ts'

/** Options of {@link environmentKeys}. */
export interface EnvironmentKeysOptions {
  /** What the names of the variables begin with. @defaultValue `'TALOS'` */
  readonly prefix?: string
  /** The variables. @defaultValue `process.env`, read at each `load()` */
  readonly environment?: Readonly<Record<string, string | undefined>>
}

/**
 * Makes a key source of environment variables:
 *
 * - `TALOS_KEK_<id>`: 32 bytes as base64url without padding (43 characters), one variable for each KEK. Ids
 *   are lower case: `TALOS_KEK_v1`.
 * - `TALOS_CURRENT_KEK_ID`: the id of the KEK to wrap under.
 * - `TALOS_DECRYPT_ONLY_KEK_IDS`: ids that are never wrapped under, separated by commas without spaces.
 *   Optional.
 *
 * A variable that is set but empty is a fault: it is what remains when a secret was not injected.
 *
 * @param options - Another prefix or environment.
 * @returns The key source. Faults are reported by `load()`, all at once.
 * @throws TypeError when the prefix is not the beginning of a variable's name.
 */
export function environmentKeys(options: EnvironmentKeysOptions = {}): KeySource {
  const { prefix = 'TALOS', environment = process.env } = options
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(prefix)) {
    throw new TypeError('The prefix of environment variables is made of letters, digits and _.')
  }
  return {
    async load({ signal } = {}) {
      signal?.throwIfAborted()
      return buildKeyring(readEnvironment(prefix, environment))
    },
  }
}

function readEnvironment(
  prefix: string,
  environment: Readonly<Record<string, string | undefined>>,
): KeyConfiguration {
  const kekPrefix = `${prefix}_KEK_`
  const current = `${prefix}_CURRENT_KEK_ID`
  const decryptOnly = `${prefix}_DECRYPT_ONLY_KEK_IDS`
  const keks = Object.entries(environment).flatMap(([variable, value]) =>
    variable.startsWith(kekPrefix) && value !== undefined
      ? [{ id: variable.slice(kekPrefix.length), value }]
      : [],
  )
  keks.sort((left, right) => (left.id < right.id ? -1 : 1))
  return {
    keks,
    currentKekId: environment[current],
    decryptOnlyKekIds: environment[decryptOnly]?.split(',') ?? [],
    labels: { kekPrefix, current, decryptOnly },
  }
}
