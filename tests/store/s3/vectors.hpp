// Published examples of AWS Signature Version 4.
#pragma once

#include <array>

namespace faro::store::s3::testing {

/// A request as it stands before it is signed, and the signature that it must get.
struct Vector {
  const char* name;
  const char* request;  ///< "GET /path?query", headers, an empty line, the body
  const char* signature;
};

/// Of AWS's test suite for Signature Version 4 (github.com/awslabs/aws-c-auth,
/// tests/aws-signing-test-suite/v4, header-signed-request.txt), for the key AKIDEXAMPLE at
/// 20150830T123600Z, region us-east-1, service "service". Those whose path is normalised before it
/// is signed are left out: S3 never does that. Each gets Host and X-Amz-Date.
inline constexpr std::array suite{
    Vector{"get-vanilla", "GET /\n",
           "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    Vector{"get-header-key-duplicate",
           "GET /\nMy-Header1:value2\nMy-Header1:value2\nMy-Header1:value1\n",
           "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    Vector{"get-header-value-multiline", "GET /\nMy-Header1:value1\n  value2\n     value3\n",
           "ba17b383a53190154eb5fa66a1b836cc297cc0a3d70a5d00705980573d8ff790"},
    Vector{"get-header-value-order",
           "GET /\nMy-Header1:value4\nMy-Header1:value1\nMy-Header1:value3\nMy-Header1:value2\n",
           "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
    Vector{"get-header-value-trim", "GET /\nMy-Header1: value1\nMy-Header2: \"a   b   c\"\n",
           "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    Vector{"get-relative-unnormalized", "GET /example/..\n",
           "eca7ead57bb5aa5c8e28007acd4ff04e1ff9a0ff3b237ec1554a184887ff9282"},
    Vector{"get-relative-relative-unnormalized", "GET /example1/example2/../..\n",
           "dc33e0856fd4baca4d7aa2146c38958283844764f38c74252a333df5e613003b"},
    Vector{"get-slash-dot-slash-unnormalized", "GET /./\n",
           "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145"},
    Vector{"get-slash-pointless-dot-unnormalized", "GET /./example\n",
           "beb03f223f7deae4146464f06e29eebbee9c8afbe15c290cf07aa8b119e14cff"},
    Vector{"get-slash-unnormalized", "GET //\n",
           "c88bcd3d312d75078c0cd961d6deae3f4c754924b01669efcfcb439fd5e5b76e"},
    Vector{"get-slashes-unnormalized", "GET //example//\n",
           "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5"},
    Vector{"get-space-unnormalized", "GET /example space/\n",
           "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
    Vector{"get-unreserved",
           "GET /-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\n",
           "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    Vector{"get-utf8", "GET /\xE1\x88\xB4\n",
           "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    Vector{"get-vanilla-empty-query-key", "GET /?Param1=value1\n",
           "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
    Vector{"get-vanilla-query-order-encoded",
           "GET /?Param-3=Value3&Param=Value2&%E1%88%B4=Value1\n",
           "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
    Vector{"get-vanilla-query-order-key-case", "GET /?Param2=value2&Param1=value1\n",
           "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    Vector{"get-vanilla-query-unreserved",
           "GET /?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz="
           "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\n",
           "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
    Vector{"get-vanilla-utf8-query", "GET /?\xE1\x88\xB4=bar\n",
           "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
    Vector{"get-vanilla-with-session-token",
           "GET /\nX-Amz-Security-Token:"
           "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267\n",
           "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
    Vector{"post-vanilla", "POST /\n",
           "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    Vector{"post-vanilla-query", "POST /?Param1=value1\n",
           "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
    Vector{"post-header-key-sort", "POST /\nMy-Header1:value1\n",
           "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
    Vector{"post-header-value-case", "POST /\nMy-Header1:VALUE1\n",
           "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
    Vector{
        "post-sts-header-before",
        "POST /\nX-Amz-Security-Token:AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4F"
        "ZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1Nt"
        "BmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0r"
        "KwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2I"
        "CCR/oLxBA==\n",
        "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
    Vector{"post-x-www-form-urlencoded",
           "POST /\nContent-Type:application/x-www-form-urlencoded\nContent-Length:13\n"
           "x-amz-content-sha256:9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e\n"
           "\nParam1=value1",
           "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"},
    Vector{"post-x-www-form-urlencoded-parameters",
           "POST /\nContent-Type:application/x-www-form-urlencoded; charset=utf-8\n"
           "Content-Length:13\n"
           "x-amz-content-sha256:9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e\n"
           "\nParam1=value1",
           "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422"},
};

/// Of the S3 API Reference, "Signature Calculations for the Authorization Header: Transferring
/// Payload in a Single Chunk": bucket examplebucket, region us-east-1, 20130524T000000Z. Each gets
/// Host, x-amz-date and x-amz-content-sha256.
inline constexpr std::array s3_examples{
    Vector{"GET Object", "GET /test.txt\nRange:bytes=0-9\n",
           "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    Vector{"PUT Object",
           "PUT /test$file.text\nDate:Fri, 24 May 2013 00:00:00 GMT\n"
           "x-amz-storage-class:REDUCED_REDUNDANCY\n\nWelcome to Amazon S3.",
           "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    Vector{"GET Bucket Lifecycle", "GET /?lifecycle\n",
           "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    Vector{"GET Bucket (List Objects)", "GET /?prefix=J&max-keys=2\n",
           "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

}  // namespace faro::store::s3::testing
