import { createCipheriv, createDecipheriv, createSecretKey, randomBytes, webcrypto } from 'node:crypto'
import { decryptStringSync, encryptStringSync, generateKey, parseKeySync } from '@47ng/cloak'
import {
  AlgorithmSuiteIdentifier,
  buildClient,
  CommitmentPolicy,
  RawAesKeyringNode,
  RawAesWrappingSuiteIdentifier,
} from '@aws-crypto/client-node'
import { CompactEncrypt, compactDecrypt } from 'jose'
import type { Contender } from '../measure/rounds.ts'
import { sampleContext } from './sample.ts'

/** Makes the contenders `<name> encrypt` and `<name> decrypt`. */
export type MakeContenders = (value: string) => Promise<readonly Contender[]>

/** `@47ng/cloak`: AES-256-GCM directly under one key. No context, no commitment, no way to change the key. */
const cloak: MakeContenders = async (value) => {
  // Parsed once: as text, the key would be decoded and hashed in every call.
  const key = parseKeySync(generateKey())
  const message = encryptStringSync(value, key)
  return [
    { name: 'cloak encrypt', run: () => encryptStringSync(value, key) },
    { name: 'cloak decrypt', run: () => decryptStringSync(message, key) },
  ]
}

/** `@aws-crypto/client-node`: raw AES keyring, committing, without the signature that is its default. */
const aws: MakeContenders = async (value) => {
  const { encrypt, decrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
  const keyring = new RawAesKeyringNode({
    keyName: 'v1',
    keyNamespace: 'bench',
    unencryptedMasterKey: randomBytes(32),
    wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
  })
  const options = {
    encryptionContext: sampleContext(1),
    suiteId: AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY,
  }
  const { result: message } = await encrypt(keyring, value, options)
  return [
    { name: 'aws encrypt', run: () => encrypt(keyring, value, options) },
    { name: 'aws decrypt', run: () => decrypt(keyring, message) },
  ]
}

/** `jose`: JWE in its compact form, A256GCMKW and A256GCM. The context is not bound. */
const jose: MakeContenders = async (value) => {
  const key = await webcrypto.subtle.importKey('raw', randomBytes(32), 'AES-GCM', false, [
    'encrypt',
    'decrypt',
  ])
  const plaintext = Buffer.from(value)
  const encrypt = () =>
    new CompactEncrypt(plaintext).setProtectedHeader({ alg: 'A256GCMKW', enc: 'A256GCM' }).encrypt(key)
  const message = await encrypt()
  return [
    { name: 'jose encrypt', run: encrypt },
    { name: 'jose decrypt', run: () => compactDecrypt(message, key) },
  ]
}

/** `node:crypto` alone: AES-256-GCM under one key, with a random nonce and the context as text. */
const gcm: MakeContenders = async (value) => {
  const key = createSecretKey(randomBytes(32))
  const aad = Buffer.from(JSON.stringify(sampleContext(1)))
  const options = { authTagLength: 16 } as const
  const encrypt = () => {
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', key, nonce, options).setAAD(aad)
    return Buffer.concat([nonce, cipher.update(value, 'utf8'), cipher.final(), cipher.getAuthTag()])
  }
  const decrypt = (message: Buffer) => {
    const decipher = createDecipheriv('aes-256-gcm', key, message.subarray(0, 12), options).setAAD(aad)
    decipher.setAuthTag(message.subarray(-16))
    return Buffer.concat([decipher.update(message.subarray(12, -16)), decipher.final()])
  }
  const message = encrypt()
  return [
    { name: 'gcm encrypt', run: encrypt },
    { name: 'gcm decrypt', run: () => decrypt(message) },
  ]
}

/** The programs a user would otherwise take, by the name they have in ratios. */
export const OTHERS: Readonly<Record<string, MakeContenders>> = { cloak, aws, jose, gcm }
