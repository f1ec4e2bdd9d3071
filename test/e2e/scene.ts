import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { Evidence } from '../../examples/gateway/demo/canary.ts'
import { inParallel } from '../../examples/gateway/demo/checks.ts'
import { type GatewayOptions, GatewayProcess } from '../../examples/gateway/demo/gateway-process.ts'
import type { Keks } from '../../examples/gateway/demo/keks.ts'
import { Ledger } from '../../examples/gateway/demo/ledger.ts'
import { Operator } from '../../examples/gateway/demo/operator.ts'
import { Upstream } from '../../examples/gateway/demo/upstream.ts'

/** A gateway process and a client that speaks to it. */
export interface Instance {
  readonly gateway: GatewayProcess
  readonly operator: Operator
}

/** One database with any number of gateways on it. All is ended and removed when the test is over. */
export class Scene {
  readonly evidence = new Evidence()
  readonly ledger = new Ledger()
  readonly rootToken = randomBytes(32).toString('base64url')
  readonly upstream: Upstream
  readonly database: string
  readonly #upstreamUrl: string

  private constructor(upstream: Upstream, upstreamUrl: string, database: string) {
    this.upstream = upstream
    this.#upstreamUrl = upstreamUrl
    this.database = database
  }

  /** @param database - What the gateway's `openStore` takes; a new SQLite file when absent. */
  static async open(database?: string): Promise<Scene> {
    const folder = mkdtempSync(join(tmpdir(), 'gateway-e2e-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const upstream = new Upstream()
    onTestFinished(() => upstream.close())
    return new Scene(upstream, await upstream.listen(), database ?? join(folder, 'gateway.sqlite'))
  }

  options(label: string, keks: Keks, currentKekId: string): GatewayOptions {
    return {
      label,
      database: this.database,
      upstream: this.#upstreamUrl,
      rootToken: this.rootToken,
      keks,
      currentKekId,
      evidence: this.evidence,
    }
  }

  async start(
    label: string,
    keks: Keks,
    currentKekId: string,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Instance> {
    const gateway = await GatewayProcess.start({ ...this.options(label, keks, currentKekId), environment })
    onTestFinished(async () => {
      await gateway.kill()
    })
    return { gateway, operator: this.operator(gateway) }
  }

  operator(gateway: GatewayProcess, rootToken = this.rootToken): Operator {
    const operator = new Operator(gateway.url, rootToken, this.evidence)
    onTestFinished(() => operator.close())
    return operator
  }

  /** Puts secrets over HTTP and notes them when they are acknowledged. */
  async fill(operator: Operator, names: readonly string[]): Promise<void> {
    await inParallel(names, 16, async (name) => {
      const value = this.ledger.newValue()
      await operator.put(name, value)
      this.ledger.acknowledge(name, value)
    })
  }
}

export function numbered(prefix: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${String(index).padStart(5, '0')}`)
}
