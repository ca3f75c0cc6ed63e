// SPDX-License-Identifier: Apache-2.0

import NIOCore

@testable import Redis

/// What real servers say of a cluster of three primaries, of which the second one has a replica.
///
/// A word is a line of RESP. `~` is an empty one.
enum ClusterReplies {
    /// Before anything is assigned: it doesn't know its own address.
    static let fresh = """
        *1 *4 $5 slots *0 $5 nodes *1 *14 $2 id $40 f4841f9be2e2aebcf52764d4ffff64ba05ecb903 $4 port :21400
        $2 ip $0 ~ $8 endpoint $0 ~ $4 role $6 master $18 replication-offset :0 $6 health $6 online
        """

    static let redis = """
        *3
        *4 $5 slots *2 :0 :5460 $5 nodes *1
          *14 $2 id $40 f4841f9be2e2aebcf52764d4ffff64ba05ecb903 $4 port :21400 $2 ip $9 127.0.0.1 $8 endpoint
            $9 127.0.0.1 $4 role $6 master $18 replication-offset :0 $6 health $6 online
        *4 $5 slots *2 :5461 :10922 $5 nodes *2
          *14 $2 id $40 9f8cb0a6027e806aae57652e9dd5646b7fc0d973 $4 port :21401 $2 ip $9 127.0.0.1 $8 endpoint
            $9 127.0.0.1 $4 role $6 master $18 replication-offset :0 $6 health $6 online
          *14 $2 id $40 052e9ea017f5a9f30d14deaee24074a19925c26a $4 port :21403 $2 ip $9 127.0.0.1 $8 endpoint
            $9 127.0.0.1 $4 role $7 replica $18 replication-offset :0 $6 health $7 loading
        *4 $5 slots *2 :10923 :16383 $5 nodes *1
          *14 $2 id $40 74828d9a731f50493f2c80dde98c5777958ebca5 $4 port :21402 $2 ip $9 127.0.0.1 $8 endpoint
            $9 127.0.0.1 $4 role $6 master $18 replication-offset :0 $6 health $6 online
        """

    static let redisNodes = """
        f4841f9be2e2aebcf52764d4ffff64ba05ecb903 127.0.0.1:21400@31400 myself,master - 0 1795983023000 1 connected 0-5460
        9f8cb0a6027e806aae57652e9dd5646b7fc0d973 127.0.0.1:21401@31401 master - 0 1795983023087 2 connected 5461-10922
        74828d9a731f50493f2c80dde98c5777958ebca5 127.0.0.1:21402@31402 master - 0 1795983023087 3 connected 10923-16383
        052e9ea017f5a9f30d14deaee24074a19925c26a 127.0.0.1:21403@31403 slave \
        9f8cb0a6027e806aae57652e9dd5646b7fc0d973 0 1795983023000 2 connected

        """

    /// Redis 7.0 after the failover: who has failed is a shard without slots.
    static let redisFailedOver = """
        *4
        *4 $5 slots *2 :0 :5460 $5 nodes *1
          *14 $2 id $40 f4841f9be2e2aebcf52764d4ffff64ba05ecb903 $4 port :21400 $2 ip $9 127.0.0.1 $8 endpoint
            $9 127.0.0.1 $4 role $6 master $18 replication-offset :0 $6 health $6 online
        *4 $5 slots *0 $5 nodes *1
          *14 $2 id $40 9f8cb0a6027e806aae57652e9dd5646b7fc0d973 $4 port :21401 $2 ip $9 127.0.0.1 $8 endpoint
            $9 127.0.0.1 $4 role $6 master $18 replication-offset :14 $6 health $4 fail
        *4 $5 slots *2 :10923 :16383 $5 nodes *1
          *14 $2 id $40 74828d9a731f50493f2c80dde98c5777958ebca5 $4 port :21402 $2 ip $9 127.0.0.1 $8 endpoint
            $9 127.0.0.1 $4 role $6 master $18 replication-offset :0 $6 health $6 online
        *4 $5 slots *2 :5461 :10922 $5 nodes *1
          *14 $2 id $40 052e9ea017f5a9f30d14deaee24074a19925c26a $4 port :21403 $2 ip $9 127.0.0.1 $8 endpoint
            $9 127.0.0.1 $4 role $6 master $18 replication-offset :14 $6 health $6 online
        """

    static let redisFailedOverNodes = """
        f4841f9be2e2aebcf52764d4ffff64ba05ecb903 127.0.0.1:21400@31400 myself,master - 0 1795983029000 1 connected 0-5460
        9f8cb0a6027e806aae57652e9dd5646b7fc0d973 127.0.0.1:21401@31401 master,fail - 1795983024103 1795983023596 2 disconnected
        74828d9a731f50493f2c80dde98c5777958ebca5 127.0.0.1:21402@31402 master - 0 1795983030106 3 connected 10923-16383
        052e9ea017f5a9f30d14deaee24074a19925c26a 127.0.0.1:21403@31403 master - 0 1795983030106 4 connected 5461-10922

        """

    /// Valkey 9.1 after the failover: who has failed stands as a primary beside the one that has its slots. Each shard has an id.
    static let valkeyFailedOver = """
        *3
        *6 $5 slots *2 :0 :5460 $5 nodes *1
          *14 $2 id $40 48ce70e034ccd5196a4c6fd183bff7a0aee98abe $4 port :21500 $2 ip $9 127.0.0.1 $8 endpoint
            $9 127.0.0.1 $4 role $6 master $18 replication-offset :0 $6 health $6 online
          $2 id $40 772889f16ecc7341e99f6e4898801c68a4bed030
        *6 $5 slots *2 :5461 :10922 $5 nodes *2
          *14 $2 id $40 7a537d27ce31b973cb2116ca9808ad59274d919c $4 port :21501 $2 ip $9 127.0.0.1 $8 endpoint
            $9 127.0.0.1 $4 role $6 master $18 replication-offset :28 $6 health $4 fail
          *14 $2 id $40 78f200ede5939f965d32b8c6bccef91de5e6d5df $4 port :21503 $2 ip $9 127.0.0.1 $8 endpoint
            $9 127.0.0.1 $4 role $6 master $18 replication-offset :28 $6 health $6 online
          $2 id $40 2a40625e64ade4c399109bdc4b6b86e5f6619924
        *6 $5 slots *2 :10923 :16383 $5 nodes *1
          *14 $2 id $40 935f7b218060f47d8a3b0c4a35f63234638bf6d6 $4 port :21502 $2 ip $9 127.0.0.1 $8 endpoint
            $9 127.0.0.1 $4 role $6 master $18 replication-offset :0 $6 health $6 online
          $2 id $40 30ecb1dcc94e0f82a8af9bfb680f2d12d371cd5a
        """

    static let valkeyFailedOverNodes = """
        48ce70e034ccd5196a4c6fd183bff7a0aee98abe 127.0.0.1:21500@31500 myself,master - 0 0 1 connected 0-5460
        7a537d27ce31b973cb2116ca9808ad59274d919c 127.0.0.1:21501@31501 master,fail - 1795983024049 1795983023546 2 disconnected
        935f7b218060f47d8a3b0c4a35f63234638bf6d6 127.0.0.1:21502@31502 master - 0 1795983030130 3 connected 10923-16383
        78f200ede5939f965d32b8c6bccef91de5e6d5df 127.0.0.1:21503@31503 master - 0 1795983030130 4 connected 5461-10922

        """

    /// Who has failed keeps the slots until another is elected.
    static let valkeyFailing = """
        *1
        *6 $5 slots *2 :5461 :10922 $5 nodes *2
          *14 $2 id $40 78f200ede5939f965d32b8c6bccef91de5e6d5df $4 port :21503 $2 ip $9 127.0.0.1 $8 endpoint
            $9 127.0.0.1 $4 role $7 replica $18 replication-offset :28 $6 health $6 online
          *14 $2 id $40 7a537d27ce31b973cb2116ca9808ad59274d919c $4 port :21501 $2 ip $9 127.0.0.1 $8 endpoint
            $9 127.0.0.1 $4 role $6 master $18 replication-offset :28 $6 health $4 fail
          $2 id $40 2a40625e64ade4c399109bdc4b6b86e5f6619924
        """

    /// By TLS, and by names where there are some (`cluster-preferred-endpoint-type hostname`).
    static let redisNamed = """
        *2
        *4 $5 slots *4 :0 :99 :200 :16383 $5 nodes *1
          *18 $2 id $40 f4841f9be2e2aebcf52764d4ffff64ba05ecb903 $4 port :6379 $8 tls-port :6380 $2 ip $8 10.0.0.1
            $8 endpoint $14 h1.example.net $8 hostname $14 h1.example.net $4 role $6 master $18 replication-offset :0
            $6 health $6 online
        *4 $5 slots *2 :100 :199 $5 nodes *1
          *16 $2 id $40 9f8cb0a6027e806aae57652e9dd5646b7fc0d973 $4 port :6379 $8 tls-port :6380 $2 ip $8 10.0.0.2
            $8 endpoint $1 ? $4 role $6 master $18 replication-offset :0 $6 health $6 online
        """

    /// With `cluster-preferred-endpoint-type unknown-endpoint`: whoever is asked is a proxy, or the like.
    static let redisUnnamed = """
        *2
        *4 $5 slots *2 :0 :99 $5 nodes *1
          *14 $2 id $40 f4841f9be2e2aebcf52764d4ffff64ba05ecb903 $4 port :6379 $2 ip $8 10.0.0.1
            $8 endpoint $-1 $4 role $6 master $18 replication-offset :0 $6 health $6 online
        *4 $5 slots *2 :100 :16383 $5 nodes *1
          *14 $2 id $40 9f8cb0a6027e806aae57652e9dd5646b7fc0d973 $4 port :6380 $2 ip $8 10.0.0.2
            $8 endpoint $-1 $4 role $6 master $18 replication-offset :0 $6 health $6 online
        """

    static let slots = """
        *3
        *3 :0 :5460 *4 $9 127.0.0.1 :21400 $40 f4841f9be2e2aebcf52764d4ffff64ba05ecb903 *0
        *4 :5461 :10922 *4 $9 127.0.0.1 :21401 $40 9f8cb0a6027e806aae57652e9dd5646b7fc0d973 *0
          *4 $9 127.0.0.1 :21403 $40 052e9ea017f5a9f30d14deaee24074a19925c26a *0
        *3 :10923 :16383 *4 $9 127.0.0.1 :21402 $40 74828d9a731f50493f2c80dde98c5777958ebca5 *0
        """

    static let slotsNamed = """
        *3
        *3 :0 :5460 *4 $14 h1.example.net :21400 $40 01b44833cb580edc32751b8573efdf5204ef40a6 *2 $2 ip $9 127.0.0.1
        *3 :5461 :10922 *4 $1 ? :21401 $40 0f2fc588282a8b0f6dedab696b23aeeea4b77055 *2 $2 ip $9 127.0.0.2
        *3 :10923 :16383 *4 $-1 :21402 $40 b13cdf94f839185a4837798b74013f99f826884e *4 $2 ip $9 127.0.0.3
          $8 hostname $14 h1.example.net
        """

    /// Reads it as a connection does.
    static func reply(_ words: String) throws -> RedisReply {
        let lines = words.split { $0 == " " || $0 == "\n" }.map { $0 == "~" ? "" : $0 }
        let reader = ReplyReader(longestReply: 1024 * 1024)
        try reader.feed(ByteBuffer(string: lines.map { $0 + "\r\n" }.joined()))
        guard let reply = try reader.next() else { throw RedisError.protocolViolation("half a reply") }
        return reply
    }
}
