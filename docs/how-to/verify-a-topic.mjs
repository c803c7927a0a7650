// Verifies one topic of Salur against checkpoints, with nothing of Salur: Node 20 or newer, `npm install kafkajs@2.2.4`.
//
//   node verify-a-topic.mjs BROKERS PUBLIC_KEY TOPIC CHECKPOINT…
//
// BROKERS: host:port,host:port. PUBLIC_KEY: 43 characters of base64url, as `salur audit key` printed them. Every message
// of the topic is read. The last line is OK, and the exit code 0, when sequences run without gaps in each partition and
// the chain of digests goes through every checkpoint; else 1, with the first wrong sequence of each partition. For a
// broker that asks who is there: KAFKA_USERNAME, KAFKA_PASSWORD (SCRAM-SHA-512) and KAFKA_CA, a file, for TLS.
import { createHash, createPublicKey, randomUUID, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import kafkajs from 'kafkajs'

const [brokers, key, topic, ...files] = process.argv.slice(2)
if (!files.length) stop('usage: node verify-a-topic.mjs BROKERS PUBLIC_KEY TOPIC CHECKPOINT…', 2)

function stop(why, code = 1) {
  console.error(why)
  process.exit(code)
}

// ---- the checkpoints: signed over the canonical JSON (RFC 8785) of all members but the signature ----
const members = value => Object.keys(value).sort().map(name => `${JSON.stringify(name)}:${canonical(value[name])}`)
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical)}]`
  return value && typeof value === 'object' ? `{${members(value)}}` : JSON.stringify(value)
}

const publicKey = createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x: key } })
const checkpoints = files.map(file => {
  const { signature, ...signed } = JSON.parse(readFileSync(file, 'utf8'))
  const right = verify(null, Buffer.from(canonical(signed)), publicKey, Buffer.from(String(signature), 'base64url'))
  if (!right) stop(`${file} was not signed with this key, or is not as it was signed`)
  if (signed.format !== 'salur-checkpoint/1') stop(`${file} has the format ${signed.format}, which this script does not know`)
  console.log(`${file}: signed by ${signed.key}, made at ${signed.made_at}`)
  return signed
})

// ---- one partition: what is expected next, the digest so far, and the digests that checkpoints want on the way ----
const partitions = new Map()
function partition(number) {
  if (!partitions.has(number)) {
    const wanted = new Map()
    for (const { made_at, heads } of checkpoints)
      for (const head of heads)
        if (head.topic === topic && head.partition === number)
          wanted.set(head.next_sequence, [...(wanted.get(head.next_sequence) ?? []), { ...head, made_at }])
    partitions.set(number, { expected: 0, proven: 0, digest: Buffer.alloc(0), wanted, republished: 0, wrong: null })
  }
  return partitions.get(number)
}

const framed = part => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(part.length)
  return Buffer.concat([length, part])
}

function take(one, { key, headers, value, offset }) {
  if (one.wrong) return
  const { sequence } = headers
  const own = Object.keys(headers).join() === 'content-type,sequence' && Object.values(headers).every(Buffer.isBuffer)
  if (!own || !/^\d{1,15}$/.test(sequence)) one.wrong = `${one.expected} (offset ${offset} is no message of Salur)`
  else if (Number(sequence) > one.expected) one.wrong = `${one.expected} (it is missing, ${sequence} follows)`
  else if (Number(sequence) < one.expected) one.republished++ // a crash repeats messages: readers drop what they know
  else {
    const parts = [sequence, key ?? '', 'content-type', headers['content-type'], 'sequence', sequence, value ?? '']
    const hashed = Buffer.concat([one.digest, ...parts.map(part => framed(Buffer.from(part)))])
    one.digest = createHash('sha256').update(hashed).digest()
    one.expected++
    for (const { digest, made_at } of one.wanted.get(one.expected) ?? [])
      if (digest !== one.digest.toString('hex'))
        one.wrong ??= `among ${one.proven} to ${one.expected - 1} (the checkpoint of ${made_at} holds other messages)`
    if (one.wanted.has(one.expected)) one.proven = one.expected
  }
}

// ---- read the topic from its start to where it ends now ----
const { KAFKA_USERNAME: username, KAFKA_PASSWORD: password, KAFKA_CA: ca } = process.env
const kafka = new kafkajs.Kafka({
  brokers: brokers.split(','),
  logLevel: kafkajs.logLevel.NOTHING,
  ssl: ca ? { ca: [readFileSync(ca)] } : undefined,
  sasl: username ? { mechanism: 'scram-sha-512', username, password } : undefined
})
const admin = kafka.admin()
await admin.connect()
const ends = await admin.fetchTopicOffsets(topic).catch(error => stop(`${topic} cannot be read: ${error.message}`))
await admin.disconnect()

const left = new Map(ends.filter(end => end.high !== end.low).map(end => [end.partition, BigInt(end.high)]))
for (const end of ends) partition(end.partition)
for (const { heads } of checkpoints) for (const head of heads) if (head.topic === topic) partition(head.partition)
const consumer = kafka.consumer({ groupId: `salur-audit-${randomUUID()}` }) // commits nothing, leaves no trace
await consumer.connect()
await consumer.subscribe({ topic, fromBeginning: true })
await new Promise((done, failed) => {
  if (!left.size) done()
  consumer.on(consumer.events.CRASH, ({ payload }) => failed(payload.error))
  const eachBatch = async ({ batch }) => {
    for (const message of batch.messages) take(partition(batch.partition), message)
    if (BigInt(batch.lastOffset()) + 1n >= left.get(batch.partition)) left.delete(batch.partition)
    if (!left.size) done()
  }
  consumer.run({ autoCommit: false, eachBatch }).catch(failed)
}).catch(error => stop(`reading ${topic} ended early: ${error.message}`))
await consumer.disconnect()

// ---- the verdict ----
for (const [number, one] of [...partitions].sort(([a], [b]) => a - b)) {
  const last = Math.max(0, ...one.wanted.keys())
  if (one.expected < last) one.wrong ??= `${one.expected} (it is missing: a checkpoint holds up to ${last - 1})`
  const said = one.wrong ? `WRONG at sequence ${one.wrong}` : `${one.expected} messages, ${last} of them in a checkpoint`
  console.log(`${topic}/${number}: ${said}${one.republished ? `, ${one.republished} re-published` : ''}`)
}
const broken = [...partitions.values()].filter(one => one.wrong).length
console.log(broken ? `${broken} of ${partitions.size} partitions of ${topic} are not as they were written` : 'OK')
process.exit(broken ? 1 : 0)
