// In a machine with a network card that vfio-pci has: its virtual functions want a token. They cannot migrate, so one that is
// opened is refused for that: that it was opened shows in the reason.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { cli } from './cli.mjs'
import { hasCdev } from './mtty.mjs'
import { card, driver, makeVirtual } from './pci.mjs'

const ways = hasCdev ? ['group', 'cdev'] : ['group']

const opened = /ERR_VFIO_UNSUPPORTED: .*has no migration/

test('a virtual function wants the token of its physical one, which is never shown', () => {
  const [token, wrong] = [randomUUID(), randomUUID()]
  const said = []
  const probe = (status, words, address) => {
    const plain = cli('probe', address)
    const json = cli('probe', address, '--json')
    assert.deepEqual([plain.status, json.status], [status, status], plain.stderr)
    assert.match(plain.stderr, words)
    said.push(plain.stdout, plain.stderr, json.stdout, json.stderr)
  }
  const [virtual] = makeVirtual(card, 2)
  assert.equal(driver(virtual), 'vfio-pci')
  // Whoever opens the physical function with a token sets it, while no virtual one is in use.
  probe(3, opened, `vfio:${card}?by=group&vf_token=${token}`)
  const { json } = cli('doctor', `vfio:${virtual}`, '--json')
  assert.match(json.findings.find(({ code }) => code === 'vf-token').remedy, /\?vf_token=UUID/)
  for (const by of ways) {
    // Linux asks for the token by cdev as well since 6.17.
    const asked = by === 'group' || process.env.TESTBED_KERNEL !== '6.12'
    if (asked) {
      probe(2, /ERR_VFIO_USAGE: .*wants a VF token.*vf_token=UUID/, `vfio:${virtual}?by=${by}`)
      probe(2, /ERR_VFIO_USAGE: .*the VF token is wrong/, `vfio:${virtual}?by=${by}&vf_token=${wrong}`)
      probe(3, opened, `vfio:${virtual}?by=${by}&vf_token=${token}`)
    } else {
      probe(2, /ERR_VFIO_USAGE: .*takes no VF token/, `vfio:${virtual}?by=${by}&vf_token=${token}`)
    }
  }
  // By whichever way takes it.
  probe(2, /ERR_VFIO_USAGE: .*the VF token is wrong/, `vfio:${virtual}?vf_token=${wrong}`)
  probe(3, opened, `vfio:${virtual}?vf_token=${token}`)
  for (const text of said) assert.ok(!text.includes(token) && !text.includes(wrong), text)
})
