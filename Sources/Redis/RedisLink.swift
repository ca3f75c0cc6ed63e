// SPDX-License-Identifier: Apache-2.0

package import Endpoints
package import NIOCore

/// A loop's way to the data: a connection to one server, or in tests whatever answers in its place.
///
/// It lives on its event loop and is called there alone.
package protocol RedisLink: AnyObject {
    /// Commands are sent at once.
    var isReady: Bool { get }
    /// Why there is no connection; nil while there is one.
    var lastFailure: RedisError? { get }
    /// An attempt to connect was refused: nobody waits for the next one.
    var isRefused: Bool { get }

    func start()

    /// `completion` is called exactly once, on the loop, perhaps before this returns.
    ///
    /// - Parameter late: told the reply if it comes after `.timeout`.
    func send(
        _ command: consuming RedisCommand, deadline: NIODeadline, late: consuming RedisConnection.Late?,
        _ completion: consuming @escaping RedisConnection.Completion)

    /// Ends what is out of time. To be called every tick.
    ///
    /// - Parameter worked: for how long the loop's thread has had a processor, as of this tick.
    func expire(now: NIODeadline, having worked: TimeAmount)

    /// Is known by this endpoint's user and password from now on: on the connection that is there, which stays, and on others.
    /// Those to come go by its certificates.
    func authenticate(as endpoint: RedisEndpoint)

    /// What it answers isn't what it was asked. The connection is made anew, and those who wait on it are told why.
    func renew(because error: RedisError)

    /// Whose replies are due.
    var commandsInFlight: Int { get }

    /// Connected, and no reply is due: ticks may be far apart.
    var isAtRest: Bool { get }

    /// The next tick comes late, and nobody is to blame.
    func rest()

    /// Answers everybody with `.shutdown`.
    func close() -> EventLoopFuture<Void>
}

extension RedisConnection: RedisLink {}
