// Ids of open requests: those of the protocol and those of the contract.

import { Fatal, Rejected } from './faults.js'
import { isInteger, MAX_U32, wrong } from './values.js'

/**
 * The open requests of one direction. Each has a number, which no other open request has. `insert`
 * takes the id of the side that sends the request, and returns the number under which the other
 * side knows it. `take` takes the number with the response, and returns the id. A codec has one map
 * for each direction in which ids differ:
 *
 *   // The client's ids are strings, and the contract gets numbers.
 *   fromClient = new Ids({ limit: 64 })
 *   const id = this.fromClient.insert(packet.id)             // in decode, for a request
 *   const own = this.fromClient.take(message.id)             // in encode, for a response
 *
 *   // The protocol has serials of 16 bits, and the requests of the application get one.
 *   toClient = new Ids({ limit: 64, largest: 0xffff })
 *   const serial = this.toClient.insert(message.id)          // in encode, for a request
 *   const id = this.toClient.take(packet.serial)             // in decode, for a response
 *   const serial = this.toClient.remove(id)                  // in abandoned
 */
export class Ids {
  #limit
  #largest
  #dropOldest
  /** The last number that was given, or 0. */
  #last = 0
  /** From numbers to ids, the oldest first. */
  #ids = new Map()
  /** From ids to numbers. */
  #numbers = new Map()

  /**
   * @param {object} limits
   * @param {number} limits.limit  The largest number of open requests.
   * @param {number} [limits.largest]  Numbers run from 1 to this one, and then from 1 again. The
   *   default is 2^32 - 1.
   * @param {boolean} [limits.dropOldest]  Whether the oldest request gives way when the map is
   *   full. The default is false: `insert` throws.
   */
  constructor ({ limit, largest = MAX_U32, dropOldest = false }) {
    if (!isInteger(largest, 1, MAX_U32)) throw wrong('Ids: largest is', largest, 'an integer from 1 to 2^32 - 1')
    if (!isInteger(limit, 1, largest)) throw wrong('Ids: limit is', limit, `an integer from 1 to ${largest}`)
    this.#limit = limit
    this.#largest = largest
    this.#dropOldest = dropOldest
  }

  /** The number of open requests. */
  get size () {
    return this.#ids.size
  }

  /**
   * Opens a request and returns its number.
   * @param {string | number} id
   * @throws {Rejected} if a request with this id is open already, or if the map is full.
   */
  insert (id) {
    if (!isId(id)) throw wrong('Ids: the id is', id, 'a string or a number')
    if (this.#numbers.has(id)) throw new Rejected('a request with this id is open already')
    if (this.size === this.#limit) {
      if (!this.#dropOldest) throw new Rejected(`${this.#limit} requests are open, and no more are allowed`)
      this.take(this.#ids.keys().next().value)
    }
    do {
      this.#last = this.#last % this.#largest + 1
    } while (this.#ids.has(this.#last))
    this.#ids.set(this.#last, id)
    this.#numbers.set(id, this.#last)
    return this.#last
  }

  /** Closes the request with this number. Returns its id, or undefined if it is not open. */
  take (number) {
    const id = this.#ids.get(number)
    this.#close(number, id)
    return id
  }

  /** Closes the request with this id. Returns its number, or undefined if it is not open. */
  remove (id) {
    const number = this.#numbers.get(id)
    this.#close(number, id)
    return number
  }

  /** Returns the open requests as a value that JSON has, for `save` of the session. */
  save () {
    return { last: this.#last, open: [...this.#ids] }
  }

  /**
   * Replaces the open requests by those that were saved.
   * @throws {Fatal} if `saved` is not the result of `save`, or does not fit the limits.
   */
  restore (saved) {
    const isPair = pair => Array.isArray(pair) && isInteger(pair[0], 0, MAX_U32) && isId(pair[1])
    const isSaved = isInteger(saved?.last, 0, MAX_U32) && Array.isArray(saved.open) && saved.open.every(isPair)
    if (!isSaved) throw new Fatal('the saved ids have another format')
    const ids = new Map(saved.open)
    const numbers = new Map(saved.open.map(([number, id]) => [id, number]))
    const areDifferent = ids.size === saved.open.length && numbers.size === saved.open.length
    const isNumber = number => isInteger(number, 1, this.#largest)
    const fit = areDifferent && ids.size <= this.#limit && [...ids.keys()].every(isNumber)
    if (!fit || saved.last > this.#largest) throw new Fatal('the saved ids do not fit')
    this.#ids = ids
    this.#numbers = numbers
    this.#last = saved.last
  }

  #close (number, id) {
    this.#ids.delete(number)
    this.#numbers.delete(id)
  }
}

function isId (value) {
  return typeof value === 'string' || Number.isFinite(value)
}
