/** How clients of streams are kept waiting while a server says nothing. */

export interface KeepAlive {
  /** Silence before anything is sent, milliseconds; infinite: nothing is. */
  readonly first: number
  /** Silence between two signs of life, milliseconds. */
  readonly interval: number
}

/** Has the head of a stream gone out before any endpoint had answered? One object for all attempts of an exchange. */
export interface Opened {
  sent: boolean
}
