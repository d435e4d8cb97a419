/** An agent that may begin a task may see it through, and nothing more comes of it. */
import assert from 'node:assert/strict'
import { DELEGATION_SERVICE } from '@clawmesh/proto'
import {
  allowedPeers,
  decideDelegation,
  type PolicySnapshot,
} from '../../../mesh-gateway/src/policy/index.ts'
import { idleDelegationRules } from '../../../mesh-gateway/src/policy/review/idle-delegation.ts'
import { policyOf } from './policies.ts'

const A2A = 'lf.a2a.v1.A2AService'
const OLD_A2A = 'a2a.v1.A2AService'
/** By the method that begins a task, those that see it through, and the one that tells what may be begun. */
const PAIRS: readonly (readonly [begin: string, through: readonly string[]])[] = [
  [
    `${DELEGATION_SERVICE}/Delegate`,
    ['Watch', 'Get', 'List', 'Cancel', 'SendInput', 'Describe'].map(
      (name) => `${DELEGATION_SERVICE}/${name}`,
    ),
  ],
  ...['SendMessage', 'SendStreamingMessage'].flatMap((begin) => [
    [
      `${A2A}/${begin}`,
      ['GetTask', 'ListTasks', 'CancelTask', 'SubscribeToTask'].map((name) => `${A2A}/${name}`),
    ] as const,
    [
      `${OLD_A2A}/${begin}`,
      ['GetTask', 'CancelTask', 'TaskSubscription'].map((name) => `${OLD_A2A}/${name}`),
    ] as const,
  ]),
]
const OTHERS = [
  `${A2A}/CreateTaskPushNotificationConfig`,
  `${OLD_A2A}/CreateTaskPushNotificationConfig`,
  `${A2A}/GetExtendedAgentCard`,
  `${DELEGATION_SERVICE}/Delegates`,
  'pkg.Svc/Watch',
  'grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
]
const ALL = [...PAIRS.flatMap(([begin, through]) => [begin, ...through]), ...OTHERS]
const planner = { tenant: 'acme', agent: 'planner' }
const researcher = { tenant: 'acme', agent: 'researcher' }
const translator = { tenant: 'globex', agent: 'translator' }

function allowedOf(policy: PolicySnapshot, callee = researcher, withinChain = false): Set<string> {
  const decide = (method: string) =>
    decideDelegation({ caller: planner, callee, method, withinChain }, policy).action
  return new Set(ALL.filter((method) => decide(method) === 'allow'))
}

describe('an agent that may begin a task', () => {
  for (const [begin, through] of PAIRS) {
    const rule = { from: 'planner', to: 'researcher', methods: [begin] }
    const whole = new Set([begin, ...through])

    it(`with ${begin} may see it through, and call nothing else`, () => {
      assert.deepEqual(allowedOf(policyOf({ acme: { delegation: { allow: [rule] } } })), whole)
      assert.deepEqual(allowedOf(policyOf({ acme: { delegation: {} } })), new Set())
    })

    it(`with ${begin} is told so when it asks which peers it may call`, () => {
      const [peer, ...more] = allowedPeers(
        policyOf({ acme: { delegation: { allow: [rule] } } }),
        planner,
      )
      assert.deepEqual([new Set(peer?.methods), more], [whole, []])
    })

    it(`with ${begin} may do so across tenants where both sides name no more than that`, () => {
      const allow = [{ from: 'planner', to: 'globex/translator', methods: [begin] }]
      const accept = [{ from: 'acme/planner', to: 'translator', methods: [begin] }]
      const both = policyOf({ acme: { delegation: { allow } }, globex: { delegation: { accept } } })
      assert.deepEqual(allowedOf(both, translator), whole)
      const one = policyOf({ acme: { delegation: { allow } }, globex: {} })
      assert.deepEqual(allowedOf(one, translator), new Set())
    })
  }

  const DELEGATE = `${DELEGATION_SERVICE}/Delegate`
  const WATCH = `${DELEGATION_SERVICE}/Watch`
  const CANCEL = `${DELEGATION_SERVICE}/Cancel`

  it('may see through what it may begin, not the other way round', () => {
    const allow = [{ from: 'planner', to: 'researcher', methods: [WATCH] }]
    assert.deepEqual(allowedOf(policyOf({ acme: { delegation: { allow } } })), new Set([WATCH]))
  })

  it('is held to deny rules: of what sees a task through, and of what begins one', () => {
    const allow = [{ from: 'planner', to: '*', methods: [DELEGATE] }]
    const denying = (methods: string[], where: 'tenant' | 'global') => {
      const deny = [{ from: 'acme/planner', to: 'acme/researcher', methods }]
      const inFile =
        where === 'tenant' ? { delegation: { allow, deny } } : { delegation: { allow } }
      return policyOf({
        acme: inFile,
        ...(where === 'global' ? { _global: { delegation: { deny } } } : {}),
      })
    }
    for (const where of ['tenant', 'global'] as const) {
      const withoutCancel = allowedOf(denying([CANCEL], where))
      assert.deepEqual(
        [withoutCancel.has(DELEGATE), withoutCancel.has(WATCH), withoutCancel.has(CANCEL)],
        [true, true, false],
      )
      assert.deepEqual(allowedOf(denying([DELEGATE], where)), new Set())
    }
  })

  it('may see it through outside of any chain, when it may begin tasks within one only', () => {
    const policy = policyOf({
      acme: {
        delegation: {
          allow: [{ from: 'planner', to: 'researcher', methods: [DELEGATE, 'pkg.Svc/Watch'] }],
          agents: { planner: { mayOriginate: false } },
        },
      },
    })
    const through = PAIRS[0]?.[1] ?? []
    assert.deepEqual(allowedOf(policy), new Set(through))
    assert.deepEqual(
      allowedOf(policy, researcher, true),
      new Set([DELEGATE, ...through, 'pkg.Svc/Watch']),
    )
  })

  it('makes no rule one without effect where the other side names what sees the task through', () => {
    const allow = [{ from: 'planner', to: 'globex/translator', methods: [DELEGATE] }]
    const accept = (methods: string[]) => [{ from: 'acme/planner', to: 'translator', methods }]
    const idle = (methods: string[]) =>
      idleDelegationRules(
        policyOf({
          acme: { delegation: { allow } },
          globex: { delegation: { accept: accept(methods) } },
        }),
      ).length
    assert.equal(idle([WATCH]), 0)
    assert.equal(idle(['pkg.Svc/Watch']), 2)
  })
})
