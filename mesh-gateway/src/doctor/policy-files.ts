/** Checks the policy directory. */
import { formatFault, type PolicyLoading } from '../policy/index.ts'
import { concernsAll } from '../policy/read/load-policy.ts'
import { type CheckResult, result, shellWord } from './finding.ts'

const SHOWN = 5

export function checkPolicy(dir: string, loading: PolicyLoading): CheckResult {
  if (loading.ok) {
    const { tenants } = loading.snapshot
    const about = `${dir}: ${tenants.size === 0 ? 'no tenant' : [...tenants.keys()].join(', ')}`
    const todo = `see docs/guides/gateway.md, then: mesh-gateway policy check ${shellWord(dir)}`
    const none = {
      what: `no tenant has policy in ${dir}`,
      why: 'without a file of its tenant an agent may do nothing',
      todo,
    }
    const [ignored] = loading.ignored
    const unread =
      ignored === undefined
        ? null
        : {
            what: formatFault(ignored),
            why: 'what stands in it is not in force',
            todo: `mesh-gateway policy check ${shellWord(dir)} --tenant-dirs DIR`,
          }
    return result('policy', about, tenants.size === 0 ? none : unread)
  }
  const { faults } = loading
  const shown = faults.slice(0, SHOWN).map(formatFault)
  const more = faults.length > SHOWN ? ` and ${faults.length - SHOWN} more` : ''
  return result('policy', dir, {
    what: `${shown.join('; ')}${more}`,
    why: faults.some(concernsAll)
      ? 'a gateway that starts refuses to; one that runs keeps the last good version of each of these files'
      : 'of each of these files a gateway that runs keeps the last good version; one that starts allows nothing to its tenant',
    todo: `mesh-gateway policy check ${shellWord(dir)}`,
  })
}
