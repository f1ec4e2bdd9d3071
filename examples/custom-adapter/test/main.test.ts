import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { service } from '../../../test/services/service.ts'
import { newDatabase } from './open.ts'

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))

test('the program of the README keeps a secret, and replaces it when it is run again', async () => {
  const server = await service('mariadb')
  const env = {
    PATH: process.env['PATH'],
    DATABASE_URL: new URL(await newDatabase(server), server).href,
    TALOS_KEK_v1: randomBytes(32).toString('base64url'),
    TALOS_CURRENT_KEK_ID: 'v1',
  }
  const run = async () => {
    const args = ['--conditions=@talos/source', MAIN]
    return (await promisify(execFile)(process.execPath, args, { env })).stdout
  }
  expect(await run()).toBe("{ outcome: 'created', version: 1 }\n[secret openai/prod v1] under v1\n")
  expect(await run()).toBe("{ outcome: 'replaced', version: 2 }\n[secret openai/prod v2] under v1\n")
}, 60_000)
