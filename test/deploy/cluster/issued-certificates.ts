/** Certificates that cert-manager issues for gateway and agents: renewed, and of another CA, under calls. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { NAMESPACE } from '../api-server/commands.ts'
import { PLANNER, RESEARCHER, startAgents, whileCalling } from './agents.ts'
import { ISSUED, ROOTS, renew, startCertManager, takeIdentities } from './cert-manager.ts'
import { timed } from './figures.ts'
import { RELEASE, rolledOut } from './gateway-release.ts'
import { certificatesChange, filesOf, rootsChange } from './identities-in-pods.ts'
import { refusedCertificates } from './refused-certificates.ts'
import type { World } from './world.ts'

export function issuedCertificates(get: () => World): void {
  describe('certificates of cert-manager', () => {
    before('take identities from it', async () => {
      const { cluster, digest } = get()
      await startCertManager(get())
      for (const { namespace, name } of [PLANNER, RESEARCHER])
        await cluster.kubectl('delete', 'pod', '-n', namespace, name, '--ignore-not-found')
      await takeIdentities(get(), { from: 'one', trusted: ['one'] })
      for (const [namespace, name] of ISSUED)
        await cluster.kubectl(
          ...['wait', '-n', namespace, `certificate/${name}`],
          ...['--for=condition=Ready', '--timeout=60s'],
        )
      await rolledOut(cluster)
      await startAgents(cluster, digest, identityOf)
    })

    const underCalls = (what: string, change: () => Promise<void>) =>
      whileCalling(get().cluster, () => timed(what, change))

    it('carry one URI each, and agents and gateway take each other by them', async () => {
      for (const text of await filesOf(get().cluster, 'tls.crt')) {
        const names = new X509Certificate(text).subjectAltName?.match(/URI:[^,]+/g)
        assert.equal(names?.length, 1)
        assert.match(
          String(names),
          /^URI:spiffe:\/\/mesh.internal\/(gateway|tenant\/acme\/agent)\//,
        )
      }
      await underCalls('nothing changes', () => sleep(1_000))
    })

    it('are renewed', () =>
      underCalls('from the renewal to every pod', () =>
        certificatesChange(get().cluster, async () => {
          for (const [namespace, name] of ISSUED) await renew(get().cluster, namespace, name)
        }),
      ))

    describe('of another CA take their place', () => {
      const [from, trusted] = [{ from: 'two' }, { trusted: ['one', 'two'] }] as const

      it('first both CAs are trusted', () =>
        underCalls('both CAs in every pod', () =>
          rootsChange(get().cluster, 2, () => takeIdentities(get(), { from: 'one', ...trusted })),
        ))

      it('then the certificates are of the new one', () =>
        underCalls('certificates of the new CA in every pod', () =>
          certificatesChange(get().cluster, () => takeIdentities(get(), { ...from, ...trusted })),
        ))

      it('then the old one is trusted no more', () =>
        underCalls('the new CA alone in every pod', () =>
          rootsChange(get().cluster, 1, () => takeIdentities(get(), { ...from, trusted: ['two'] })),
        ))

      it('and every connection that is made anew is good', () =>
        underCalls('other gateways in place of all', async () => {
          const { cluster } = get()
          await cluster.kubectl('rollout', 'restart', '-n', NAMESPACE, `deployment/${RELEASE}`)
          await rolledOut(cluster)
        }))
    })

    refusedCertificates(get)
  })
}

/** One volume, so that certificate and CAs change in one step. */
function identityOf(name: string): object {
  const item = (key: string) => ({ key, path: key })
  return {
    projected: {
      defaultMode: 0o400,
      sources: [
        { secret: { name: `${name}-identity`, items: [item('tls.crt'), item('tls.key')] } },
        { configMap: { name: ROOTS, items: [item('ca.crt')] } },
      ],
    },
  }
}
