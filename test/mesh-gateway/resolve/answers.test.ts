import assert from 'node:assert/strict'
import { createAnswers } from '../../../mesh-gateway/src/resolve/answers.ts'
import { ResolveFailure } from '../../../mesh-gateway/src/resolve/resolver.ts'

describe('the answers that are kept', () => {
  let nowMs = 0
  beforeEach(() => {
    nowMs = 0
  })
  const make = (most: number) => {
    const answers = createAnswers<string>(most, () => nowMs)
    return {
      answers,
      put: (name: string, asker: string, untilMs = 1_000) =>
        answers.put(name, [`${name} of ${asker}`], untilMs, asker),
      /** Asks for each as the agent that is charged for it: `name@agent`. */
      kept: (...all: string[]) =>
        all.filter((one) => {
          const [name = '', owner = ''] = one.split('@')
          return answers.get(name, owner) !== undefined
        }),
    }
  }

  it('are what was put last, and until they end', () => {
    const { answers, put } = make(10)
    assert.equal(answers.get('x', 'a'), undefined)
    put('x', 'a', 10)
    put('x', 'b', 20)
    assert.deepEqual([answers.get('x', 'c'), answers.size], [['x of b'], 1])
    nowMs = 19
    assert.deepEqual(answers.get('x', 'c'), ['x of b'])
    nowMs = 20
    assert.equal(answers.get('x', 'c'), undefined)
    const failure = new ResolveFailure('not-found')
    answers.put('x', failure, 30, 'a')
    assert.equal(answers.get('x', 'a'), failure)
  })

  it('that end at once replace what was there and leave nothing', () => {
    const { answers, put } = make(10)
    put('x', 'a')
    put('x', 'a', 0)
    assert.deepEqual([answers.get('x', 'a'), answers.size], [undefined, 0])
  })

  it('make room by the oldest of the agent that has most, and of no other', () => {
    const { answers, put, kept } = make(4)
    put('b1', 'b')
    for (const name of ['a1', 'a2', 'a3']) put(name, 'a')
    put('b2', 'b')
    const both = ['a2@a', 'a3@a', 'b1@b', 'b2@b']
    assert.deepEqual(kept('a1@a', ...both), both)
    // now both have two: the next one is the third of its agent, and the oldest of that goes
    put('b3', 'b')
    assert.deepEqual(kept(...both, 'b3@b'), ['a2@a', 'a3@a', 'b2@b', 'b3@b'])
    assert.equal(answers.size, 4)
  })

  it('make room among agents that have one each, and say how many they are', () => {
    const { answers, put, kept } = make(2)
    for (const agent of ['a', 'b', 'c', 'd']) put(`of ${agent}`, agent)
    assert.equal(answers.size, 2)
    assert.deepEqual(kept('of a@a', 'of b@b', 'of c@c', 'of d@d'), ['of c@c', 'of d@d'])
  })

  it('are charged to the agent that was answered last', () => {
    const { put, kept } = make(3)
    for (const name of ['1', '2', '3']) put(name, 'a')
    put('1', 'b')
    put('4', 'b')
    // two of each: the first that had some loses one
    assert.deepEqual(kept('1@b', '2@a', '3@a', '4@b'), ['1@b', '3@a', '4@b'])
    put('5', 'b')
    assert.deepEqual(kept('1@b', '3@a', '4@b', '5@b'), ['3@a', '4@b', '5@b'])
  })

  it('that another agent has used are its own before they go, once, and not when they have ended', () => {
    const { answers, put } = make(2)
    put('shared', 'a')
    put('old', 'a', 5)
    for (const name of ['shared', 'old']) answers.get(name, 'b')
    nowMs = 5
    put('next', 'a')
    // `shared` has gone over to b, `old` had ended
    assert.deepEqual([answers.get('old', 'c'), answers.size], [undefined, 2])
    put('b1', 'b')
    assert.equal(answers.get('shared', 'b'), undefined, 'the oldest of b, which uses it alone')
    assert.deepEqual(answers.get('next', 'a'), ['next of a'])
    // who is charged for it is not another
    put('a2', 'a')
    assert.equal(answers.get('next', 'a'), undefined)
    assert.deepEqual(answers.get('b1', 'b'), ['b1 of b'])
  })
})
