import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { metrics } from '@opentelemetry/api'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'

/** An endpoint that Prometheus scrapes. */
export interface ScrapeEndpoint {
  readonly url: string
  close(): Promise<void>
}

/**
 * Registers an SDK whose metrics are scraped, and serves them under `/metrics`.
 *
 * @param port - 0 for a free one.
 */
export async function serveMetrics(port: number): Promise<ScrapeEndpoint> {
  // A server of our own: the one of the exporter cannot be asked for a free port.
  const exporter = new PrometheusExporter({ preventServerStart: true, withoutScopeInfo: true })
  const provider = new MeterProvider({ readers: [exporter] })
  metrics.setGlobalMeterProvider(provider)
  const server = createServer((request, response) => {
    if (request.url === '/metrics') return exporter.getMetricsRequestHandler(request, response)
    response.writeHead(404).end()
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`,
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
      await provider.shutdown()
    },
  }
}
