/** The policy directory. */
import { formatFault, type PolicyLoading } from '../policy/index.ts'
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
    return result('policy', about, tenants.size === 0 ? none : null)
  }
  const { faults } = loading
  const shown = faults.slice(0, SHOWN).map(formatFault)
  const more = faults.length > SHOWN ? ` and ${faults.length - SHOWN} more` : ''
  return result('policy', dir, {
    what: `${shown.join('; ')}${more}`,
    why: 'a gateway that starts refuses to; one that runs keeps the policy that it had',
    todo: `mesh-gateway policy check ${shellWord(dir)}`,
  })
}
