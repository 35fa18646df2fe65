import { X509Certificate } from 'node:crypto'
import { createServer, get } from 'node:https'
import { describe, expect, it } from 'vitest'
import { createTestAuthority } from './test-authority.js'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { TestCertificate } from './test-authority.js'

const authority = createTestAuthority()
const serverCertificate = authority.issue({ commonName: 'kube-apiserver', names: ['127.0.0.1', '::1', 'kubernetes'] })
const client = authority.issue({ commonName: 'system:kube-proxy', organizations: ['system:nodes', 'system:masters'] })

describe('certificates for tests', () => {
  it('say who they are for, and which addresses and names they answer to', () => {
    const read = new X509Certificate(serverCertificate.certificate)
    expect(read.subject).toBe('CN=kube-apiserver')
    expect(read.subjectAltName).toBe('IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:kubernetes')
    expect(new X509Certificate(client.certificate).subject).toBe(
      'O=system:nodes\nO=system:masters\nCN=system:kube-proxy',
    )
  })

  it('are trusted by those who trust the authority, servers and clients', async () => {
    expect(await whoGets({ server: serverCertificate, client, ca: authority.certificate })).toBe('system:kube-proxy')
  })

  it('are refused by those who trust another authority of the same name', async () => {
    const ca = createTestAuthority().certificate
    await expect(whoGets({ server: serverCertificate, client, ca })).rejects.toThrow(/certificate/)
  })

  it('are refused at an address that they do not name', async () => {
    const server = authority.issue({ commonName: 'kube-apiserver', names: ['10.0.0.1'] })
    const asked = whoGets({ server, client, ca: authority.certificate })
    await expect(asked).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  })

  it('are refused after their time', async () => {
    const server = authority.issue({ commonName: 'old', names: ['127.0.0.1'], validTo: Date.now() - 1000 })
    const asked = whoGets({ server, client, ca: authority.certificate })
    await expect(asked).rejects.toMatchObject({ code: 'CERT_HAS_EXPIRED' })
  })
})

/** The common name of the client as an HTTPS server sees it. */
async function whoGets({ server, client, ca }: Record<'server' | 'client', TestCertificate> & { readonly ca: string }) {
  const listening = createServer(
    { cert: server.certificate, key: server.key, ca: authority.certificate, requestCert: true },
    (request, response) => response.end((request.socket as TLSSocket).getPeerCertificate().subject.CN),
  )
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  const { port } = listening.address() as AddressInfo
  try {
    return await new Promise<string>((resolve, reject) => {
      const options = { host: '127.0.0.1', port, ca, cert: client.certificate, key: client.key, agent: false as const }
      get(options, (response) => {
        response.setEncoding('utf8').on('data', resolve)
      }).on('error', reject)
    })
  } finally {
    listening.close()
  }
}
