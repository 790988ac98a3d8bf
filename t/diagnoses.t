#!/usr/bin/perl

# What is told about uploads: a table of broken ones, one of odd but good
# ones, and what the commands of the hints make of the broken ones.

use strict;
use warnings;

use File::Temp ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Test::More;

use lib 't/lib';
use Wafcert::Broken;
use Wafcert::Server;
use Wafcert::TLS qw(ports);

# A row: what it is, its members, the reason, a part of the sentence, and a
# part of the hint (or a pattern that it matches).  Members are texts as
# Wafcert::Broken has them: the name of a fixture, an array of texts, or a
# reference to the text itself.  Those that are not there are good.  And:
#
#   at        the location, which has another policy
#   body      the whole body
#   headers   of the request, beside the usual ones
#   modify    it is a modify, with no other members, of the certificate
#             "stored", which is ec.chain with ec.key

my $stored = 'stored';
my $not_key = qr/^(?!.*private key goes into key)/;
my $not_armour = qr/^(?!put -----BEGIN)/;
my $same_words = 'an END line that repeats the words of its BEGIN line';
my $genpkey = 'openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256';
my $jq = q(jq -n --arg name example --rawfile content cert.pem)
         . q( --rawfile key key.pem '{$name, $content, $key}');

my $no_end = sub { s/-----END.*//s };
my $no_begin = sub { s/^.*\n// };
sub nested {
    my ($tag, $depth) = @_;

    my $der = '';
    $der = tlv($tag, $der) for 1 .. $depth;

    return $der;
}

my $line_lost = sub { s/^(MI.*\n).*\n/$1/m };
my $line_twice = sub { s/^(MI.*\n)(.*\n)/$1$2$2/m };

my @broken = (

    # something else in content

    [ 'a certificate in DER', { content => naked('rsa.crt') },
      content_is_der => 'content is a certificate, sent as base64 of its DER'
      . ' without BEGIN and END lines', 'put -----BEGIN CERTIFICATE-----' ],
    [ 'the same, cut short',
      { content => edit(naked('rsa.crt'), sub { substr $_, -99, 99, '' }) },
      content_is_der => 'sent as base64 of its DER',
      'put -----BEGIN CERTIFICATE-----' ],
    [ 'a binary file as Latin-1', { content => \"0\xc2\x82\x03\xc2\x80" },
      content_is_der => 'content is a binary file', 'openssl x509 -inform' ],
    [ 'a binary file with replacements',
      { content => \"0\xef\xbf\xbd\x03\xef\xbf\xbd" },
      content_is_der => 'content is a binary file', 'openssl x509 -inform' ],
    [ 'a PKCS#12 file', { content => 'rsa.p12' },
      content_is_pkcs12 => 'content is a PKCS#12 file, sent as base64',
      'openssl pkcs12 -in file.p12 -nokeys -out cert.pem' ],
    [ 'a PKCS#12 file as GnuTLS writes it',
      { content => armour('PKCS12', text('p12.der')) },
      content_is_pkcs12 => 'block 1 of content',
      'openssl pkcs12 -in file.p12 -nokeys -out cert.pem' ],
    [ 'a PKCS#7 bundle', { content => 'rsa.p7' },
      content_is_pkcs7 => 'block 1 of content is a PKCS#7 bundle',
      'openssl pkcs7 -in file.p7b -print_certs -out cert.pem' ],
    [ 'CMS', { content => relabel('rsa.p7', 'CMS') },
      content_is_pkcs7 => 'block 1 of content is a PKCS#7 bundle',
      'openssl pkcs7' ],
    [ 'a PKCS#7 bundle in DER', { content => naked('rsa.p7') },
      content_is_pkcs7 => 'content is a PKCS#7 bundle, sent as base64',
      '-inform DER' ],
    [ 'a request', { content => 'rsa.csr' },
      content_is_csr => 'block 1 of content is a certificate request',
      'upload the certificate that it issues' ],
    [ 'a request by its older label',
      { content => relabel('rsa.csr', 'NEW CERTIFICATE REQUEST') },
      content_is_csr => 'block 1 of content is a certificate request',
      'upload the certificate that it issues' ],
    [ 'a request in DER', { content => naked('rsa.csr') },
      content_is_csr => 'content is a certificate request, sent as base64',
      'upload the certificate that it issues' ],
    [ 'a certificate and its request', { content => [qw(rsa.crt rsa.csr)] },
      content_is_csr => 'block 2 of content is a certificate request',
      'upload the certificate that it issues' ],
    [ 'the key', { content => 'rsa.key' },
      content_is_key => 'block 1 of content is a PKCS#8 private key',
      'the private key goes into key' ],
    [ 'the key as PKCS#1', { content => 'rsa.pkcs1' },
      content_is_key => 'block 1 of content is an RSA private key',
      'the private key goes into key' ],
    [ 'the key in DER', { content => naked('rsa.key') },
      content_is_key => 'content is a PKCS#8 private key, sent as base64',
      'the private key goes into key' ],
    [ 'certificate and key', { content => [qw(rsa.crt rsa.key)] },
      content_is_key => 'block 2 of content is a PKCS#8 private key',
      'the private key goes into key' ],
    [ 'chain and key', { content => [qw(rsa.chain rsa.key)] },
      content_is_key => 'block 3 of content is a PKCS#8 private key',
      'the private key goes into key' ],
    [ 'the two exchanged', { content => 'rsa.key', key => 'rsa.crt' },
      content_is_key => 'block 1 of content is a PKCS#8 private key and'
      . ' block 1 of key is a certificate: the two seem to be exchanged',
      'send the certificate in content and the private key in key' ],
    [ 'the two exchanged, EC', { content => 'ec.both', key => 'ec.chain' },
      content_is_key => 'block 2 of content is an EC private key and block 1'
      . ' of key is a certificate', 'the private key in key' ],
    [ 'an encrypted key', { content => 'rsa.enc' },
      content_is_key => 'block 1 of content is an encrypted private key',
      'the private key goes into key' ],
    [ 'an OpenSSH key', { content => openssh('ed') },
      content_is_key => 'block 1 of content is an OpenSSH private key',
      'the private key goes into key' ],
    [ 'a PuTTY key', { content => \"PuTTY-User-Key-File-3: ssh-rsa\n" },
      content_is_key => 'content is a PuTTY key file', 'puttygen' ],
    [ 'a public key', { content => 'rsa.pub' },
      content_is_key => 'block 1 of content is a public key', $not_key ],
    [ 'a public key in DER', { content => naked('rsa.pub') },
      content_is_key => 'content is a public key, sent as base64', $not_key ],
    [ 'an SSH public key', { content => \"ssh-rsa AAAAB3NzaC1yc2E me\n" },
      content_is_key => 'content is an SSH public key', $not_key ],
    [ 'EC parameters', { content => 'ec.params' },
      content_no_pem => 'content holds EC parameters in block 1 and no'
      . ' certificate', 'from the BEGIN CERTIFICATE line' ],
    [ 'DH parameters', { content => 'dh.params' },
      content_no_pem => 'content holds DH parameters in block 1 and no'
      . ' certificate', 'from the BEGIN CERTIFICATE line' ],
    [ 'a CRL', { content => 'ca.crl' },
      content_no_pem => 'block 1 of content is a certificate revocation list',
      'from the BEGIN CERTIFICATE line' ],
    [ 'a certificate and a CRL', { content => [qw(rsa.crt ca.crl)] },
      content_no_pem => 'block 2 of content is a certificate revocation list',
      'from the BEGIN CERTIFICATE line' ],
    [ 'a CRL in DER', { content => naked('ca.crl') },
      content_no_pem => 'content is a revocation list', $not_armour ],
    [ 'an attribute certificate',
      { content => relabel('rsa.crt', 'ATTRIBUTE CERTIFICATE') },
      content_no_pem => 'block 1 of content is a block of an unknown type',
      'from the BEGIN CERTIFICATE line' ],
    [ 'OpenPGP', { content => \("-----BEGIN PGP MESSAGE-----\n\nhQ\n=aX9/\n"
                                . "-----END PGP MESSAGE-----\n") },
      content_no_pem => 'block 1 of content is a block of an unknown type',
      'from the BEGIN CERTIFICATE line' ],
    [ 'what a Kubernetes Secret has',
      { content => \encode_base64(text('rsa.chain'), '') },
      content_no_pem => 'content is PEM that was base64-encoded once more',
      'base64 -d < file.b64 > file.pem' ],
    [ 'a Java keystore', { content => \'/u3+7QAAAAIAAAABAAAAAQAGc2VydmVy' },
      content_no_pem => 'content is a Java keystore', 'keytool' ],
    [ 'a path', { content => \'/etc/ssl/certs/example.pem' },
      content_no_pem => 'content: it looks like the path of a file', $jq ],
    [ 'a path of Windows', { content => \'C:\certs\example.cer' },
      content_no_pem => 'content: it looks like the path of a file', $jq ],
    [ 'the name of a file', { content => \'example.crt' },
      content_no_pem => 'content: it looks like the path of a file', $jq ],
    [ 'a reference to a file', { content => \'@cert.pem' },
      content_no_pem => 'content is a reference to a file (@)',
      'what the file holds' ],
    [ 'a URL', { content => \'https://ca.example.com/cert.pem' },
      content_no_pem => 'content is a URL', 'what the file holds' ],
    [ 'a template of Terraform', { content => \'${file("cert.pem")}' },
      content_no_pem => 'content is a template that was not expanded',
      'see why the tool' ],
    [ 'a template of Ansible', { content => \'{{ certificate }}' },
      content_no_pem => 'content is a template that was not expanded',
      'see why the tool' ],
    [ 'a command', { content => \'$(cat cert.pem)' },
      content_no_pem => 'content is a shell command that was not run',
      'in double quotes' ],
    [ 'a page', { content => \'<!DOCTYPE html><html><body>' },
      content_no_pem => 'content is HTML or XML', 'BEGIN CERTIFICATE' ],
    [ 'a JWK', { content => \'{"kty": "RSA"}' },
      content_no_pem => 'content is a JSON document', 'BEGIN CERTIFICATE' ],
    [ 'the text without the PEM', { content => 'text' },
      content_no_pem => 'content is what openssl x509 -text prints',
      'openssl x509 -in cert.pem' ],
    [ 'words', { content => \'please see the file that I sent' },
      content_no_pem => 'content: no BEGIN CERTIFICATE line is in it',
      'BEGIN CERTIFICATE' ],
    [ 'blanks', { content => \" \r\n\t" },
      content_no_pem => 'content: nothing but blanks', 'BEGIN CERTIFICATE' ],
    [ 'asterisks', { content => \'********' },
      content_no_pem => 'content is masked with asterisks',
      'send the whole text again' ],

    # content: the lines around a block

    [ 'URL-encoded',
      { content => edit('rsa.crt', sub { s/ /%20/g; s/\n/%0A/g }) },
      content_no_pem => 'content: the text is URL-encoded', 'BEGIN' ],
    [ 'form-encoded', { content => edit('rsa.crt', sub { s/ /+/g }) },
      content_no_pem => 'content: the text is URL-encoded', 'BEGIN' ],
    [ 'in small letters', { content => edit('rsa.crt', sub { $_ = lc }) },
      content_no_pem => 'content: the BEGIN line is not in capitals',
      'BEGIN CERTIFICATE' ],
    [ 'long dashes', { content => edit('rsa.crt', sub { s/--/\xe2\x80\x94/g;
                                                        s/-//g }) },
      content_no_pem => 'content: the dashes of the BEGIN line are'
      . ' typographic ones', 'BEGIN CERTIFICATE' ],
    [ 'a long blank',
      { content => edit('rsa.crt', sub { s/BEGIN /BEGIN\xc2\xa0/ }) },
      content_no_pem => 'content: the blanks of the BEGIN line are'
      . ' typographic ones', 'BEGIN CERTIFICATE' ],
    [ 'four dashes', { content => edit('rsa.crt', sub { s/-----/----/ }) },
      content_no_pem => 'content: the BEGIN line starts with 4 dashes',
      'BEGIN CERTIFICATE' ],
    [ 'four dashes behind',
      { content => edit('rsa.crt', sub { s/E-----/E----/ }) },
      content_pem_unterminated => 'content, block 1 (CERTIFICATE): the BEGIN'
      . ' line ends with 4 dashes', $same_words ],
    [ 'three dashes in block 2', { content =>
      [ 'rsa.crt', edit('inter.crt', sub { s/-----BEGIN/---BEGIN/ }) ] },
      content_pem_unterminated => 'content, block 2 (CERTIFICATE): the BEGIN'
      . ' line starts with 3 dashes', $same_words ],
    [ 'two dashes at END',
      { content => edit('rsa.crt', sub { s/-----END/--END/ }) },
      content_pem_unterminated => 'content, block 1 (CERTIFICATE): the END'
      . ' line starts with 2 dashes', $same_words ],
    [ 'no BEGIN line', { content => edit('rsa.crt', $no_begin) },
      content_no_pem => 'content: an END line is in it, but no BEGIN line',
      'BEGIN CERTIFICATE' ],
    [ 'no BEGIN line in block 2',
      { content => [ 'rsa.crt', edit('inter.crt', $no_begin) ] },
      content_pem_unterminated => 'content, block 2: an END line that no'
      . ' BEGIN line stands before', $same_words ],
    [ 'no END line', { content => edit('rsa.crt', $no_end) },
      content_pem_unterminated => 'content, block 1 (CERTIFICATE): the text'
      . ' ends without an END line', $same_words ],
    [ 'no END line in block 2',
      { content => [ 'rsa.crt', edit('inter.crt', $no_end) ] },
      content_pem_unterminated => 'content, block 2 (CERTIFICATE): the text'
      . ' ends without an END line', $same_words ],
    [ 'no END line before block 2',
      { content => [ edit('rsa.crt', $no_end), 'inter.crt' ] },
      content_pem_unterminated => 'content, block 1 (CERTIFICATE): no END'
      . ' line before the next BEGIN line', $same_words ],
    [ 'cut short in the END line',
      { content => edit('rsa.crt', sub { s/-----END.*/---/s }) },
      content_pem_unterminated => 'content, block 1 (CERTIFICATE): the text'
      . ' ends within the END line', $same_words ],
    [ 'another label at END',
      { content => edit('rsa.crt', sub { s/END CERT.*E/END PRIVATE KEY/ }) },
      content_pem_unterminated => 'content, block 1 (CERTIFICATE): BEGIN says'
      . ' CERTIFICATE and END says PRIVATE KEY', $same_words ],
    [ 'another label at the END of block 2', { content =>
      [ 'rsa.crt', edit('inter.crt', sub { s/END CERT.*E/END PKCS7/ }) ] },
      content_pem_unterminated => 'content, block 2 (CERTIFICATE): BEGIN says'
      . ' CERTIFICATE and END says PKCS7', $same_words ],
    [ 'a misspelled label at END',
      { content => edit('rsa.crt', sub { s/END CERTI/END CERT/ }) },
      content_pem_unterminated => 'content, block 1 (CERTIFICATE): the END'
      . ' line has another label', $same_words ],

    # content: base64

    [ 'a question mark', { content => replace('rsa.crt', 3, 10, '?') },
      content_pem_base64 => q(content, block 1 (CERTIFICATE): '?' at line 3,)
      . ' column 10 is not base64 (character 74 of the block)',
      'send the file unchanged' ],
    [ 'a bang in block 2', { content =>
      [ \"some\nwords\n", 'ec.crt', replace('inter.crt', 4, 20, '!') ] },
      content_pem_base64 => q(content, block 2 (CERTIFICATE): '!' at line),
      'openssl' ],
    [ 'a question mark, and no END line',
      { content => edit(replace('rsa.crt', 3, 10, '?'), $no_end) },
      content_pem_unterminated => 'content, block 1 (CERTIFICATE): no END line'
      . q( follows, and '?' at line 3, column 10), $same_words ],
    [ 'the alphabet of URLs', { content => replace('rsa.crt', 2, 24, '_') },
      content_pem_base64 => q('_' at line 2, column 24 is not base64)
      . ' (character 24 of the block); it belongs to the URL-safe alphabet',
      'send the file unchanged' ],
    [ 'dots for the rest',
      { content => edit('rsa.crt', sub { s/^(MI.{21}).*(?=\n-)/$1.../ms }) },
      content_pem_base64 => q('.' at line 2, column 24 is not base64)
      . ' (character 24 of the block); the text was shortened',
      'send the file unchanged' ],
    [ 'an ellipsis', { content => replace('rsa.crt', 3, 1, "\xe2\x80\xa6") },
      content_pem_base64 => 'U+2026 (an ellipsis) at line 3, column 1 is not'
      . ' base64 (character 65', 'send the file unchanged' ],
    [ 'a no-break blank', { content => replace('rsa.crt', 3, 2, "\xc2\xa0") },
      content_pem_base64 => 'U+00A0 (a no-break blank) at line 3, column 2',
      'send the file unchanged' ],
    [ 'a zero-width blank',
      { content => replace('rsa.crt', 3, 3, "\xe2\x80\x8b") },
      content_pem_base64 => 'U+200B (a zero-width character) at line 3,',
      'send the file unchanged' ],
    [ 'quoted in a mail', { content => edit('rsa.crt', sub { s/^/> /gm }) },
      content_pem_base64 => 'each line begins with ">", as in a mail, from'
      . ' line 1 on', 'sed' ],
    [ 'from a program',
      { content => edit('rsa.crt', sub { s/^(.*)$/"$1\\n" +/gm }) },
      content_pem_base64 => 'the text looks like program source', 'send' ],
    [ 'from a page', { content => edit('rsa.crt', sub { s/$/<br>/gm }) },
      content_pem_base64 => 'the text looks like HTML', 'send' ],
    [ 'a "+" URL-encoded', { content => replace('rsa.crt', 2, 30, '%2B') },
      content_pem_base64 => q('%' at line 2, column 30 is not base64), 'send' ],
    [ 'an escape of C', { content => edit('rsa.crt', sub { s/\n/\\x0a/g }) },
      content_pem_base64 => 'of the escapes, "\n", "\r" and "\t" are', 'send' ],
    [ 'the backslashes lost',
      { content => edit('rsa.crt', sub { s/\n(?!-)/n/g }) },
      content_pem_base64 => 'so the backslashes were lost', 'send' ],
    [ 'padding in the middle', { content => replace('rsa.crt', 3, 10, '=') },
      content_pem_base64 => q('=' at line 3, column 10 is where no padding),
      'send' ],
    [ 'an empty block', { content => armour('CERTIFICATE', '') },
      content_pem_base64 => 'content, block 1 (CERTIFICATE): the block is'
      . ' empty', 'send' ],
    [ 'an empty block 2', { content => [ 'rsa.crt',
                                         armour('CERTIFICATE', '') ] },
      content_pem_base64 => 'content, block 2 (CERTIFICATE): the block is'
      . ' empty', 'send' ],

    # content: DER

    [ 'a line is missing', { content => edit('rsa.crt', $line_lost) },
      content_der => 'content, block 1 (CERTIFICATE): the DER ends early,',
      'the file is damaged' ],
    [ 'a line of block 2 is missing',
      { content => [ 'rsa.crt', edit('inter.crt', $line_lost) ] },
      content_der => 'content, block 2 (CERTIFICATE): the DER ends early,',
      'the file is damaged' ],
    [ 'a line twice', { content => edit('rsa.crt', $line_twice) },
      content_der => 'and 48 more follow', 'the file is damaged' ],
    [ 'four times "+" became a blank',
      { content => edit('rsa.crt', sub { s/^(MI.{21}).{4}/$1    /m }) },
      content_der => 'perhaps each "+" was turned into one', 'damaged' ],
    [ 'DER that ends early',
      { content => bad_der('rsa.crt', sub { substr $_, -7, 7, '' }) },
      content_der => 'content, block 1 (CERTIFICATE): the DER ends early,',
      'the file is damaged' ],
    [ 'bytes after the DER of block 2', { content =>
      [ 'rsa.crt', bad_der('inter.crt', sub { $_ .= "\0\0" }) ] },
      content_der => 'and 2 more follow', 'the file is damaged' ],
    [ 'two certificates in a block', { content =>
      armour('CERTIFICATE', der_of('rsa.crt') . der_of('inter.crt')) },
      content_der => 'content, block 1 (CERTIFICATE): the DER ends at byte',
      'the file is damaged' ],
    [ 'OpenSSL\'s trusted certificate', { content => 'rsa.trusted' },
      content_der => 'content, block 1 (TRUSTED CERTIFICATE)',
      'openssl x509 -in cert.pem -out' ],
    [ 'BER around the extensions',
      { content => dressed('rsa.crt', extensions => "\xa3\x80"
                           . tlv(0x30, (tlv(0x30, "\x06\x01\x2a\x04\0")) x 100)
                           . "\0\0") },
      content_der => 'lengths, tags or a depth that no certificate has',
      'openssl x509' ],
    [ 'a length of four bytes',
      { content => dressed('rsa.crt', extensions => "\xa3\x84\0\0\0\x09"
                           . tlv(0x30, tlv(0x30, "\x06\x01\x2a\x04\0"))) },
      content_der => 'lengths, tags or a depth', 'openssl x509' ],
    [ 'nested without end',
      { content => dressed('rsa.crt', subject => nested(0x30, 200)) },
      content_der => 'lengths, tags or a depth', 'openssl x509' ],
    [ 'BER in the alternative names',
      { content => dressed('rsa.crt',
                           extensions => names("\x82\x81\x03a.b")) },
      cert_malformed_extension => 'its alternative names cannot be read',
      'issued anew' ],
    [ 'thousands of registered identifiers',
      { content => dressed('rsa.crt',
                           extensions => names("\x82\x03a.b",
                                               ("\x88\x01\x2a") x 30000)) },
      content_too_many => 'more names and extensions than any chain needs, up'
      . ' to block 1', 'server' ],
    [ 'thousands of addresses',
      { content => dressed('rsa.crt',
                           extensions => names(("\x87\x04\1\2\3\4") x 15000)) },
      content_too_many => 'more names and extensions', 'server' ],
    [ 'an extension with thousands of elements',
      { content => dressed('rsa.crt', extensions => tlv(0xa3, tlv(0x30,
            tlv(0x30, "\x06\x03\x55\x1d\x25",
                tlv(0x04, tlv(0x30, ("\x06\x01\x2a") x 20000)))))) },
      content_too_many => 'more names and extensions', 'server' ],
    [ 'thousands of mail addresses, and a host, that servers are to load',
      { content => dressed('rsa.crt', extensions => names(
            ("\x81\x01a") x 30000, "\x82\x03a.b")) },
      content_too_many => 'have 30002 alternative names, the limit is 9000',
      'server' ],
    [ 'a thousand hosts and one',
      { content => dressed('rsa.crt', extensions => names(
            map { tlv(0x82, "$_.example.com") } 1 .. 1001)) },
      content_too_many_hosts => 'has more than 1000 hosts', '' ],
    [ 'thousands of mail addresses, and what OpenSSL has to judge',
      { content => dressed('rsa.crt', extensions => tlv(0xa3, tlv(0x30,
            tlv(0x30, "\x06\x03\x55\x1d\x11", tlv(0x04, tlv(0x30,
                ("\x81\x01a") x 30000))),
            tlv(0x30, "\x06\x03\x55\x1d\x1e", tlv(0x04, "\x30\x00"))))) },
      content_too_many => 'names that OpenSSL has to judge, the limit is 2000',
      'server' ],
    [ 'long names in each block',
      { content => [ map { dressed('rsa.crt', subject => tlv(0x30,
            (tlv(0x31, tlv(0x30, "\x06\x03\x55\x04\x0a",
                           tlv(0x0c, "\xc3\xa9" x $_)))) x 60)) } 15 .. 24 ] },
      content_too_many => 'up to block', 'server' ],
    [ 'BER', { content => bad_der('rsa.crt', sub { substr $_, 1, 3, "\x80";
                                                   $_ .= "\0\0" }) },
      content_der => 'has an indefinite length, it is BER', 'openssl x509' ],
    [ 'no DER', { content => armour('CERTIFICATE', 'hello, world') },
      content_der => 'the DER does not begin with a SEQUENCE', 'openssl' ],
    [ 'PEM in PEM', { content => armour('CERTIFICATE', text('rsa.crt')) },
      content_der => 'the DER does not begin with a SEQUENCE', 'openssl' ],
    [ 'no certificate', { content => armour('CERTIFICATE', "0\3\2\1\0") },
      content_der => 'block 1 of content cannot be read: the DER does not'
      . ' begin as a certificate does', 'openssl x509' ],
    [ 'a date that is none',
      { content => bad_der('rsa.crt', sub { s/(\x17\x0d\d\d)../${1}13/ }) },
      content_der => 'the DER has a date that is none', 'openssl x509' ],
    [ 'a key with the label of a certificate',
      { content => relabel('rsa.key', 'CERTIFICATE') },
      content_der => 'block 1 of content is a certificate by its label, but'
      . ' holds a PKCS#8 private key', 'the certificate that the CA issued' ],
    [ 'a request with the label of a certificate',
      { content => [ 'rsa.crt', relabel('rsa.csr', 'CERTIFICATE') ] },
      content_der => 'block 2 of content is a certificate by its label, but'
      . ' holds a certificate request', 'the certificate that the CA issued' ],
    [ 'PKCS#7 with the label of a certificate',
      { content => relabel('rsa.p7', 'CERTIFICATE') },
      content_der => 'but holds a PKCS#7 bundle', 'BEGIN and END lines' ],

    # content: limits, and keys that are not supported

    [ 'eleven certificates', { content => 'rsa.many' },
      content_too_many => 'content holds 11 certificates, the limit is 10',
      'not a bundle of root certificates' ],
    [ 'seventeen blocks', { content => 'rsa.blocks' },
      content_too_many => 'content: more than 16 PEM blocks',
      'not a bundle of root certificates' ],
    [ 'Ed448', { content => 'ed448.crt', key => 'ed448.key' },
      cert_key_type => 'block 1 of content, CN=ed448.example.com,O=Wafcert, is a'
      . ' certificate for Ed448',
      $genpkey ],
    [ 'secp256k1', { content => 'koblitz.crt', key => 'koblitz.key' },
      cert_key_type => 'is a certificate for EC secp256k1',
      $genpkey ],
    [ 'a brainpool curve', { content => 'brainpool.crt' },
      cert_key_type => 'is a certificate for EC brainpoolP256r1', $genpkey ],
    [ 'RSA-PSS', { content => 'pss.crt', key => 'pss.key' },
      cert_key_type => 'is a certificate for RSA-PSS',
      $genpkey ],
    [ 'DSA', { content => 'dsa.crt', key => 'dsa.key' },
      cert_key_type => 'is a certificate for DSA',
      $genpkey ],
    [ 'a keyUsage that is none', { content => 'usage.crt', key => 'ec.key' },
      cert_malformed_extension => 'OpenSSL cannot read the extension "X509v3'
      . ' Key Usage" of block 1 of content', 'openssl x509 -in cert.pem' ],
    [ 'a keyUsage twice',
      { content => Wafcert::Broken::doubled('usage.crt'), key => 'ec.key' },
      cert_duplicate_extension => 'has the extension'
      . ' "X509v3 Key Usage" twice', 'openssl x509 -in cert.pem' ],
    [ 'a key identifier that is cut short',
      { content => dressed('rsa.crt', extensions => tlv(0xa3, tlv(0x30,
            tlv(0x30, "\x06\x03\x55\x1d\x0e", tlv(0x04, "\x04\x7f\xaa"))))) },
      cert_malformed_extension => 'OpenSSL cannot read the extension "X509v3'
      . ' Subject Key Identifier" of block 1', 'openssl x509 -in cert.pem' ],
    [ 'another purpose, behind a FALSE that DER leaves out',
      { content => dressed('rsa.crt', extensions => tlv(0xa3, tlv(0x30,
            tlv(0x30, "\x06\x03\x55\x1d\x13\x01\x01\x00",
                tlv(0x04, "\x30\x00")),
            tlv(0x30, "\x06\x03\x55\x1d\x25", tlv(0x04, tlv(0x30,
                "\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x03")))))) },
      cert_purpose => 'its extendedKeyUsage is codeSigning, and lacks'
      . ' serverAuth',
      'extendedKeyUsage=serverAuth' ],
    [ 'explicit EC parameters', { content => 'explicit.crt' },
      cert_key_type => 'is a certificate for EC with explicit parameters',
      $genpkey ],

    # something else in key

    [ 'a key in DER', { key => naked('rsa.key') },
      key_is_der => 'key is a PKCS#8 private key, sent as base64 of its DER'
      . ' without BEGIN and END lines', 'put -----BEGIN PRIVATE KEY-----' ],
    [ 'a PKCS#1 key in DER', { key => naked('rsa.pkcs1') },
      key_is_der => 'key is a PKCS#1 RSA private key',
      'put -----BEGIN RSA PRIVATE KEY-----' ],
    [ 'a SEC 1 key in DER', { key => naked('ec.sec1') },
      key_is_der => 'key is a SEC 1 EC private key',
      'put -----BEGIN EC PRIVATE KEY-----' ],
    [ 'a binary key', { key => \"0\xc2\x82\x04" },
      key_is_der => 'key is a binary file', 'openssl pkey -inform DER' ],
    [ 'the certificate', { key => 'rsa.crt' },
      key_is_certificate => 'key holds a certificate in block 1 and no'
      . ' private key', 'key takes the private key' ],
    [ 'the chain', { key => 'rsa.chain' },
      key_is_certificate => 'key holds a certificate in block 1 and no'
      . ' private key', 'key takes the private key' ],
    [ 'the certificate in DER', { key => naked('rsa.crt') },
      key_is_certificate => 'key is a certificate, sent as base64',
      'key takes the private key' ],
    [ 'the request', { key => 'rsa.csr' },
      key_is_certificate => 'key holds a certificate request in block 1',
      'key takes the private key' ],
    [ 'the request in DER', { key => naked('rsa.csr') },
      key_is_certificate => 'key is a certificate request, sent as base64',
      'key takes the private key' ],
    [ 'the public key', { key => 'rsa.pub' },
      key_is_public => 'key holds a public key in block 1 and no private key',
      'it cannot be computed from the public key' ],
    [ 'the public key in DER', { key => naked('rsa.pub') },
      key_is_public => 'key is a public key, sent as base64',
      'it cannot be computed from the public key' ],
    [ 'the public key of SSH', { key => \"ssh-ed25519 AAAAC3NzaC1lZDI1 me\n" },
      key_is_public => 'key is an SSH public key', 'it cannot be computed' ],
    [ 'the public key of SSH2',
      { key => \"---- BEGIN SSH2 PUBLIC KEY ----\nAAAAB3NzaC1yc2E\n" },
      key_is_public => 'key is an SSH public key', 'it cannot be computed' ],
    [ 'a PKCS#12 file', { key => 'rsa.p12' },
      key_is_pkcs12 => 'key is a PKCS#12 file, sent as base64',
      'openssl pkcs12 -in file.p12 -nocerts -nodes -out key.pem' ],
    [ 'an encrypted key', { key => 'rsa.enc' },
      key_encrypted => 'block 1 of key is encrypted with a password',
      'openssl pkey -in key.pem -out plain.pem' ],
    [ 'a key encrypted in the older way', { key => 'rsa.old' },
      key_encrypted => 'block 1 of key is encrypted with a password',
      'openssl pkey -in key.pem -out plain.pem' ],
    [ 'an encrypted key in block 2', { key => [qw(rsa.crt rsa.enc)] },
      key_encrypted => 'block 2 of key is encrypted with a password',
      'openssl pkey -in key.pem -out plain.pem' ],
    [ 'an encrypted key in DER', { key => naked('rsa.enc') },
      key_encrypted => 'key is an encrypted PKCS#8 key, sent as base64',
      'openssl pkey' ],
    [ 'an encrypted key with a plain label',
      { key => relabel('rsa.enc', 'PRIVATE KEY') },
      key_encrypted => 'block 1 of key is a PKCS#8 private key by its label,'
      . ' but it is encrypted', 'openssl pkey' ],
    [ 'EC parameters alone', { key => 'ec.params' },
      key_no_pem => 'key holds EC parameters in block 1 and no private key',
      'the EC PRIVATE KEY block that follows them' ],
    [ 'an OpenSSH key', { key => openssh('ed') },
      key_type => q(block 1 of key is in OpenSSH's own format),
      qr/ssh-keygen -p -m pkcs8.*Ed25519/ ],
    [ 'an OpenSSH key without its lines',
      { key => edit(openssh('ed'), sub { s/^-.*\n//gm }) },
      key_type => 'key is an OpenSSH private key without its BEGIN and END'
      . ' lines', 'ssh-keygen -p -m' ],
    [ 'a PuTTY key', { key => \"PuTTY-User-Key-File-2: ssh-rsa\n" },
      key_type => 'key is a PuTTY key file', 'puttygen key.ppk' ],
    [ 'DH parameters', { key => 'dh.params' },
      key_type => 'key holds DH parameters in block 1 and no private key',
      'Diffie-Hellman parameters are no key' ],
    [ 'a DH key', { key => 'dh.key' },
      key_type => 'block 1 of key is a private key for Diffie-Hellman',
      $genpkey ],
    [ 'a DSA key', { key => 'dsa.old' },
      key_type => 'block 1 of key is a DSA private key', $genpkey ],
    [ 'a DSA key as PKCS#8', { key => 'dsa.key' },
      key_type => 'of key is a private key for DSA', $genpkey ],
    [ 'X25519', { key => 'x25519.key' },
      key_type => 'block 1 of key is a private key for X25519', $genpkey ],
    [ 'Ed448', { key => 'ed448.key' },
      key_type => 'block 1 of key is a private key for Ed448', $genpkey ],
    [ 'secp256k1', { key => 'koblitz.key' },
      key_type => 'is a private key for EC secp256k1', $genpkey ],
    [ 'RSA-PSS', { key => 'pss.key' },
      key_type => 'block 1 of key is a private key for RSA-PSS', $genpkey ],
    [ 'three primes', { key => 'multi.key' },
      key_type => 'block 1 of key is a multi-prime RSA key',
      qr/^(?!.*OpenSSH)/ ],
    [ 'a CRL', { key => 'ca.crl' },
      key_no_pem => 'key holds a certificate revocation list in block 1',
      'from the BEGIN PRIVATE KEY line' ],
    [ 'OpenPGP', { key => \("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQ\n"
                            . "-----END PGP PRIVATE KEY BLOCK-----\n") },
      key_no_pem => 'key holds a block of an unknown type in block 1',
      'from the BEGIN PRIVATE KEY line' ],
    [ 'what a Kubernetes Secret has',
      { key => \encode_base64(text('rsa.key'), '') },
      key_no_pem => 'key is PEM that was base64-encoded once more',
      'base64 -d < file.b64 > file.pem' ],
    [ 'a JWK', { key => \'{"kty": "RSA", "d": "X4cTteJY_gn4FYPsXB8rdXix5"}' },
      key_no_pem => 'key is a JSON document, perhaps a JWK', 'BEGIN PRIVATE' ],
    [ 'a path', { key => \'~/key.pem' },
      key_no_pem => 'key: it looks like the path of a file', $jq ],
    [ 'asterisks', { key => \'***' },
      key_no_pem => 'key is masked with asterisks', 'in a modify leave' ],
    [ 'a password', { key => \'correct horse battery staple' },
      key_no_pem => 'key: no BEGIN PRIVATE KEY line is in it', 'BEGIN' ],
    [ 'no BEGIN line', { key => edit('rsa.key', $no_begin) },
      key_no_pem => 'key: an END line is in it, but no BEGIN line', 'BEGIN' ],
    [ 'four dashes', { key => edit('rsa.key', sub { s/-----/----/ }) },
      key_no_pem => 'key: the BEGIN line starts with 4 dashes', 'BEGIN' ],
    [ 'two keys', { key => 'ec.several' },
      key_several => 'key holds a PKCS#8 private key in block 1 and a PKCS#8'
      . ' private key in block 2', 'the one private key' ],
    [ 'a key, and another encrypted', { key => [qw(rsa.key rsa.crt ec.sec1
                                                   rsa.enc)] },
      key_several => 'key holds a PKCS#8 private key in block 1 and an EC'
      . ' private key in block 3', 'the one private key' ],
    [ 'seventeen blocks', { key => 'rsa.blocks' },
      key_several => 'key: more than 16 PEM blocks', 'the one private key' ],

    # a broken key

    [ 'no END line', { key => edit('rsa.key', $no_end) },
      key_pem_unterminated => 'key, block 1 (PRIVATE KEY): the text ends'
      . ' without an END line', $same_words ],
    [ 'no END line in block 2',
      { key => [ 'ec.params', edit('ec.sec1', $no_end) ] },
      key_pem_unterminated => 'key, block 2 (EC PRIVATE KEY): the text ends'
      . ' without an END line', $same_words ],
    [ 'another label at END',
      { key => edit('rsa.pkcs1', sub { s/END RSA/END/ }) },
      key_pem_unterminated => 'key, block 1 (RSA PRIVATE KEY): BEGIN says RSA'
      . ' PRIVATE KEY and END says PRIVATE KEY', $same_words ],
    [ 'a question mark', { key => replace('rsa.key', 3, 10, '?') },
      key_pem_base64 => q(key, block 1 (PRIVATE KEY): '?' at line 3, column)
      . ' 10 is not base64 (character 74 of the block)',
      'openssl pkey -in key.pem' ],
    [ 'a hash in block 2',
      { key => [ 'ec.params', replace('ec.sec1', 2, 5, '#') ] },
      key_pem_base64 => q(key, block 2 (EC PRIVATE KEY): '#' at line 5,)
      . ' column 5', 'openssl pkey -in key.pem' ],
    [ 'masked in the middle',
      { key => edit('rsa.key', sub { s/^(MI.{21}).*(?=\n-)/$1****/ms }) },
      key_pem_base64 => q('*' at line 2, column 24 is not base64), 'openssl' ],
    [ 'the alphabet of URLs', { key => replace('rsa.key', 9, 9, '-') },
      key_pem_base64 => q('-' at line 9, column 9 is not base64), 'openssl' ],
    [ 'a character is missing', { key => replace('ec.sec1', 2, 9, '') },
      key_pem_base64 => 'key, block 1 (EC PRIVATE KEY): its base64 has 161'
      . ' characters', 'openssl pkey -in key.pem' ],
    [ 'a "+" became a blank', { key => replace('ec.sec1', 2, 9, ' ') },
      key_pem_base64 => 'perhaps each "+" was turned into one', 'openssl' ],
    [ 'an empty block', { key => armour('PRIVATE KEY', '') },
      key_pem_base64 => 'key, block 1 (PRIVATE KEY): the block is empty',
      'openssl pkey -in key.pem' ],
    [ 'DER that ends early',
      { key => bad_der('rsa.key', sub { substr $_, -7, 7, '' }) },
      key_der => 'key, block 1 (PRIVATE KEY): the DER ends early',
      'openssl pkey -in key.pem' ],
    [ 'bytes after the DER',
      { key => bad_der('rsa.key', sub { $_ .= "\0" }) },
      key_der => 'and 1 more follow', 'openssl pkey -in key.pem' ],
    [ 'bytes after the DER of block 2',
      { key => [ 'ec.params', bad_der('ec.sec1', sub { $_ .= "\0" x 3 }) ] },
      key_der => 'key, block 2 (EC PRIVATE KEY): the DER ends at byte 121',
      'openssl pkey -in key.pem' ],
    [ 'a line is missing', { key => edit('rsa.key', $line_lost) },
      key_der => 'key, block 1 (PRIVATE KEY): the DER ends early', 'openssl' ],
    [ 'no DER', { key => armour('PRIVATE KEY', 'secret') },
      key_der => 'the DER does not begin with a SEQUENCE', 'openssl' ],
    [ 'no key', { key => armour('PRIVATE KEY', "0\0") },
      key_der => 'block 1 of key cannot be read: the DER is not that of a'
      . ' PKCS#8 key', 'openssl' ],
    [ 'DSA with the label of PKCS#1',
      { key => relabel('dsa.old', 'RSA PRIVATE KEY') },
      key_der => 'but holds a DSA private key', 'BEGIN and END lines' ],
    [ 'a certificate with the label of a key',
      { key => relabel('rsa.crt', 'PRIVATE KEY') },
      key_der => 'but holds a certificate', 'BEGIN and END lines' ],
    [ 'a PKCS#12 file with the label of a key',
      { key => armour('PRIVATE KEY', text('p12.der')) },
      key_der => 'but holds a PKCS#12 file', 'BEGIN and END lines' ],
    [ 'a negative member',
      { key => rsa_key('rsa.pkcs1', { 3 => sub { $_ = "\xff$_" } }) },
      key_der => 'a private exponent that is negative', 'openssl pkey' ],
    [ 'more members', { key => rsa_key('rsa.pkcs1', {}, "\2\1\1") },
      key_der => 'has more members than an RSA key', 'openssl pkey' ],
    [ 'an EC key without its curve',
      { key => ec_key('ec.sec1', curve => undef) },
      key_der => q(does not name the key's curve),
      qr/^(?!.*openssl pkey -in)/ ],
    [ 'a private value that is too long',
      { key => ec_key('ec.sec1', secret => "\1" x 33) },
      key_der => q(private value of another length than its curve's),
      'openssl' ],
    [ 'Ed25519 with 31 bytes',
      { key => bad_der('ed.key', sub { chop; s/^0\x2e/0\x2d/;
                                       substr $_, -35, 4, "\4\x21\4\x1f" }) },
      key_der => 'has no private value of 32 bytes', 'openssl' ],
    [ 'explicit EC parameters', { key => 'explicit.key' },
      key_explicit_curve => 'block 1 of key spells the parameters of its curve'
      . ' out', 'openssl ec -in key.pem -param_enc named_curve' ],
    [ 'explicit EC parameters in SEC 1', { key => 'ec.explicit' },
      key_explicit_curve => 'block 1 of key spells the parameters of its curve'
      . ' out', 'openssl ec -in key.pem -param_enc named_curve' ],
    [ 'RSA of 8208 bits', { key => 'large.pkcs1' },
      key_too_large => 'block 1 of key is an RSA key of 8208 bits, the limit'
      . ' is 8192', 'openssl genpkey -algorithm RSA' ],
    [ 'a public exponent of 65 bits',
      { key => rsa_key('rsa.pkcs1', { 2 => sub { $_ = "\1" x 9 } }) },
      key_too_large => 'public exponent has 65 bits, the limit is 64',
      'openssl genpkey' ],

    # keys that are not whole

    (map { my ($n, $fault) = @$_;
      [ "RSA member $n altered", { key => rsa_key('rsa.pkcs1',
                            { $n => sub { substr($_, -2, 1) ^= "\1" } }) },
        key_inconsistent => "block 1 of key is no whole key: $fault",
        'openssl pkey -in key.pem -check -noout' ] }
      [ 1, 'the modulus is not the product of the two primes' ],
      [ 2, 'the private exponent does not belong to the public one' ],
      [ 3, 'a CRT exponent does not fit the private exponent' ],
      [ 4, 'the modulus is not the product of the two primes' ],
      [ 5, 'the modulus is not the product of the two primes' ],
      [ 6, 'a CRT exponent does not fit the private exponent' ],
      [ 7, 'a CRT exponent does not fit the private exponent' ],
      [ 8, 'the CRT coefficient does not fit the primes' ]),
    [ 'a public exponent of one',
      { key => rsa_key('rsa.pkcs1', { 2 => sub { $_ = "\1" } }) },
      key_inconsistent => 'its public exponent is even, or one', '-check' ],
    [ 'a prime of one',
      { key => rsa_key('rsa.pkcs1', { 4 => sub { $_ = "\1" } }) },
      key_inconsistent => 'a prime is even, or one', '-check' ],
    [ 'all but the public half is zero', { key => rsa_key('rsa.pkcs1',
                             { map { $_ => sub { $_ = "\0" } } 3 .. 8 }) },
      key_inconsistent => 'lacks its private exponent', 'CRT values' ],
    [ 'a long private exponent',
      { key => rsa_key('rsa.pkcs1', { 3 => sub { $_ = "\1\1\1$_" } }) },
      key_inconsistent => 'private exponent is longer than its modulus',
      '-check' ],
    [ 'another public half in SEC 1',
      { content => 'ec.crt', key => [qw(ec.params ec.mixed)] },
      key_inconsistent => 'block 2 of key is no whole key: its public point is'
      . ' not that of its private value', '-check' ],
    [ 'another public half in PKCS#8', { content => 'ec.crt', key =>
      pkcs8_ec('ec.sec1', point => substr der_of('ec2.pub'), -65) },
      key_inconsistent => 'block 1 of key is no whole key: its public point is'
      . ' not that of its private value', '-check' ],
    [ 'another curve', { key => ec_key('ec.sec1', curve => 'P-384') },
      key_inconsistent => 'its public point is not that', '-check' ],
    [ 'two curves', { key => pkcs8_ec('ec.sec1', curve => 'P-384') },
      key_inconsistent => 'it names two curves', '-check' ],
    [ 'a private value of zero',
      { key => ec_key('ec.sec1', secret => "\0" x 32) },
      key_inconsistent => q(its private value is out of the curve's range),
      '-check' ],
    [ 'a private value beyond the order',
      { key => ec_key('ec.sec1', secret => "\xff" x 32) },
      key_inconsistent => q(its private value is out of the curve's range),
      '-check' ],
    [ 'Ed25519 with another public half',
      { content => 'ed.crt', key => pkcs8_ed('ed', 'ed2') },
      key_inconsistent => 'block 1 of key is no whole key: the public key'
      . ' beside it is not that of its private value', 'backup' ],

    # the key of another certificate

    [ 'another RSA key', { key => 'other.key' },
      key_mismatch => 'the key and the certificate in block 1 of content are'
      . ' both RSA-2048, but not of one pair, and no other block fits either',
      'openssl x509 -in cert.pem -noout -pubkey' ],
    [ 'another EC key', { content => 'ec.crt', key => 'ec2.key' },
      key_mismatch => 'are both EC-P-256, but not of one pair',
      'openssl pkey -in key.pem -pubout' ],
    [ 'another Ed25519 key', { content => 'ed.crt', key => 'ed2.key' },
      key_mismatch => 'are both ED25519, but not of one pair', 'openssl' ],
    [ 'another type', { key => 'ec.key' },
      key_mismatch => 'the key is EC-P-256, the certificate in block 1 of'
      . ' content is for RSA-2048, and no other block fits either', 'openssl' ],
    [ 'another size', { content => 'rsa.crt', key => 'rsa3072.key' },
      key_mismatch => 'the key is RSA-3072, the certificate in block 1 of'
      . ' content is for RSA-2048', 'openssl' ],
    [ 'another curve', { content => 'p384.crt', key => 'ec.key' },
      key_mismatch => 'the key is EC-P-256, the certificate in block 1 of'
      . ' content is for EC-P-384', 'openssl' ],
    [ 'block 2, and the order is kept',
      { at => 'keep', content => 'rsa.wrong' },
      key_mismatch => 'the key belongs to block 2 of content, but block 1'
      . ' stands first', 'put block 2 of content first' ],
    [ 'block 3, parameters counted',
      { at => 'keep', content => [qw(dh.params inter.crt rsa.crt)] },
      key_mismatch => 'the key belongs to block 3 of content, but block 2'
      . ' stands first', 'put block 3 of content first' ],
    [ 'block 2, and the order is judged',
      { at => 'strict', content => 'rsa.wrong' },
      key_mismatch => 'the key belongs to block 2 of content, but block 1'
      . ' stands first', 'put block 2 of content first' ],

    # policy

    [ 'RSA-2048 where 3072 bits are wanted', { at => 'bits' },
      key_too_small => 'the key is an RSA key of 2048 bits, at least 3072 are'
      . ' wanted', 'openssl genpkey -algorithm RSA' ],
    [ 'RSA-4098, by default',
      { content => [qw(rsa4098.crt inter.crt)], key => 'rsa4098.key' },
      key_too_large => 'the key is an RSA key of 4098 bits, at most 4096 are'
      . ' allowed', 'openssl genpkey -algorithm RSA' ],
    [ 'expired', { at => 'reject', content => 'expired.crt',
                   key => 'ec.key' },
      cert_expired => 'block 1 of content, CN=future.example.com,O=Wafcert,'
      . ' expired on 2021-01-01T00:00:00Z', 'openssl x509 -in cert.pem -noout -dates' ],
    [ 'expired, in block 2',
      { at => 'reject', content => [qw(inter.crt expired.crt)],
        key => 'ec.key' },
      cert_expired => 'block 2 of content, CN=future.example.com,O=Wafcert,'
      . ' expired on 2021-01-01T00:00:00Z', 'have the certificate renewed' ],
    [ 'not valid yet', { at => 'reject', content => 'future.chain',
                         key => 'ec.key' },
      cert_not_yet_valid => 'block 1 of content, CN=future.example.com,O=Wafcert,'
      . ' is not valid before 2040-01-01T00:00:00Z', 'upload it when it is valid' ],
    [ 'the root', { at => 'strict', content => 'rsa.full' },
      chain_broken => 'block 3 of content is a self-signed root', 'cat' ],
    [ 'no intermediate', { at => 'strict', content => 'rsa.crt' },
      chain_broken => 'content lacks the certificate that issued block 1:'
      . ' CN=Intermediate,O=Wafcert',
      'cat cert.pem intermediate.pem > chain.pem' ],
    [ 'a gap', { at => 'strict', content => [qw(deep.crt inter.crt)],
                 key => 'ec.key' },
      chain_broken => 'CN=Sub,O=Wafcert', 'intermediate' ],
    [ 'a certificate twice',
      { at => 'strict', content => [qw(rsa.crt inter.crt inter.crt)] },
      chain_broken => 'block 3 of content repeats block 2', 'cat' ],
    [ 'out of order',
      { at => 'strict', content => [qw(deep.crt inter.crt sub.crt)],
        key => 'ec.key' },
      chain_broken => 'block 3 of content must stand before block 2', q(put the server's certificate first) ],
    [ 'another certificate beside them',
      { at => 'strict', content => [qw(rsa.crt inter.crt alien.crt)] },
      chain_broken => 'block 3 of content is not in the chain of the'
      . ' certificate in block 1', q(put the server's certificate first) ],
    [ 'another root beside them',
      { at => 'strict', content => [qw(rsa.crt inter.crt strange.crt)] },
      chain_broken => 'block 3 of content is not in the chain of the'
      . ' certificate in block 1', 'cat' ],
    [ 'an issuer with another key',
      { at => 'strict', content => [qw(rsa.crt twin.crt inter.crt)] },
      chain_broken => 'block 2 of content is not in the chain of the'
      . ' certificate in block 1', 'cat' ],

    # the body

    [ 'no body', { body => '' },
      body_empty => 'the request has no body', 'a JSON object with name' ],
    [ 'blanks', { body => " \r\n\t" },
      body_empty => 'only blanks in it', 'a JSON object with name' ],
    [ 'more than allowed', { body => '{"key": "' . 'a' x 131_072 . '"}' },
      body_too_large => 'the body is larger than the 131072 bytes',
      'no CA bundle' ],
    [ 'a form', { headers => [ 'Content-Type: text/plain' ] },
      content_type => 'the Content-Type is not application/json',
      'Content-Type: application/json' ],
    [ 'compressed', { headers => [ 'Content-Encoding: gzip' ] },
      content_encoding => 'the body has the Content-Encoding "gzip"',
      'without Content-Encoding' ],
    [ 'an array', { body => '[]' },
      json_not_object => 'the body is an array', 'send a JSON object' ],
    [ 'JSON in JSON', { body => '"{\"name\": \"a\"}"' },
      json_not_object => 'the body is a string', 'encoded twice' ],
    [ 'null', { body => 'null' },
      json_not_object => 'the body is null', 'send a JSON object' ],
    [ 'a form as the body', { body => 'name=a&content=b&key=c' },
      json_syntax => 'line 1, column 4: what stands there was not expected',
      $jq ],
    [ 'a file as the body', { body => text('rsa.crt') },
      json_syntax => 'line 1, column 1: ', $jq ],
    [ 'a line break in a string',
      { body => qq({"name": "a",\n "content": "-----BEGIN\nMII"}) },
      json_syntax => 'line 2, column 24: a line break inside a string, where'
      . ' it must be written as \n', $jq ],
    [ 'a tab in a string', { body => qq({"name": "a\tb"}) },
      json_syntax => 'line 1, column 12: a control character', $jq ],
    [ 'single quotes', { body => q({'name': 'a'}) },
      json_syntax => 'line 1, column 2: ', $jq ],
    [ 'a comma too many', { body => qq({"name": "a",\n}) },
      json_syntax => 'line 2, column 1: ', $jq ],
    [ 'a comma is missing', { body => qq({"name": "a"\n "content": "b"}) },
      json_syntax => 'line 2, column 10: ', $jq ],
    [ 'cut short in a string', { body => '{"name": "a", "key": "----' },
      json_syntax => 'line 1, column 26: it ends before it is complete', $jq ],
    [ 'cut short', { body => '{"name": "a"' },
      json_syntax => 'column 12: it ends before it is complete', $jq ],
    [ 'something after it', { body => '{"name": "a"} }' },
      json_syntax => 'column 15: there is something after its end', $jq ],
    [ 'an escape of C', { body => '{"name": "a\x41"}' },
      json_syntax => 'column 13: an escape that JSON does not have', $jq ],
    [ 'Latin-1', { body => qq({"name": "M\xfcller"}) },
      json_syntax => 'column 12: a byte that is not UTF-8', 'UTF-8' ],
    [ 'UTF-16', { body => "\xff\xfe{\0" },
      json_syntax => 'column 1: a byte that is not UTF-8', 'UTF-16' ],
    [ 'a NUL byte', { body => qq({"name": \0"a"}) },
      json_syntax => 'column 10: a NUL byte', $jq ],
    [ 'arrays in arrays', { body => '[' x 3000 },
      json_syntax => 'column 2049: arrays or objects are nested too deep',
      $jq ],
    [ 'thousands of objects', { body => '{"x": [' . '{},' x 40000 . '{}]}' },
      json_syntax => 'column 6010: there are more members and elements', $jq ],
    [ 'thousands of numbers', { body => '{"x": [' . '1,' x 60000 . '1]}' },
      json_syntax => 'column 4009: there are more members and elements', $jq ],
    [ 'thousands of members',
      { body => '{' . join(',', map { qq("$_":1) } 1 .. 9000) . '}' },
      json_syntax => 'there are more members and elements', $jq ],
    [ 'a number that is long', { body => '{"x": ' . '1' x 100000 . '}' },
      json_syntax => 'column 1031: a number is too large', $jq ],
    [ 'a number without end', { body => '{"name": 1e999}' },
      json_syntax => 'column 14: a number is too large', $jq ],
    [ 'the name twice', { body => qq({"name": "a",\n"name": "b"}) },
      json_duplicate_member => '"name" appears twice in the body, the second'
      . ' time at line 2', 'send each member once' ],
    [ 'the key twice', { body => '{"name": "a", "key": "b", "key": "c"}' },
      json_duplicate_member => '"key" appears twice', 'once' ],
    [ 'another member twice', { body => '{"a": 1, "a": 2}' },
      json_duplicate_member => 'a member of the body appears twice', 'once' ],

    # members

    [ 'none', { body => '{}' },
      field_missing => 'the body lacks "name", "content", "key"',
      'a create needs name, content and key' ],
    [ 'in capitals', { body => '{"Name": "a", "Content": "b", "Key": "c"}' },
      json_duplicate_member => 'a member "Name", which some decoders take for'
      . ' "name"', 'spell the member "name", and send it once' ],
    [ 'no key', { body => '{"name": "a", "content": "b", "key": null}' },
      field_missing => 'the body lacks "key"', 'needs' ],
    [ 'nothing to modify', { modify => 1 },
      field_missing => 'the body has nothing to modify, at least one of',
      'a modify one of them at least' ],
    [ 'a number', { body => '{"name": 1, "content": "b", "key": "c"}' },
      field_type => '"name" is a number', 'are JSON strings' ],
    [ 'an array', { body => '{"name": "a", "content": ["b"], "key": "c"}' },
      field_type => '"content" is an array', 'join its lines' ],
    [ 'an object', { body => '{"name": "a", "content": "b", "key": {}}' },
      field_type => '"key" is an object', 'are JSON strings' ],
    [ 'an empty name', { name => \'' },
      field_empty => '"name" is an empty string', 'fill the member in' ],
    [ 'an empty content', { content => \'' },
      field_empty => '"content" is an empty string', 'fill the member in' ],
    [ 'an empty key', { key => \'' },
      field_empty => '"key" is an empty string', 'in a modify leave it out' ],
    [ 'UTF-16 in content', { content => \"-\0-\0-\0" },
      field_nul => '"content" contains a NUL character',
      'openssl x509 -inform DER' ],
    [ 'DER in key', { key => \"\x30\2\0\1" },
      field_nul => '"key" contains a NUL character',
      'openssl pkey -inform DER' ],
    [ 'a blank in the name', { name => \'my cert' },
      name_character => 'character 3 of "name" is a blank',
      'a name has letters, digits' ],
    [ 'an umlaut', { name => \"M\xc3\xbcller" },
      name_character => 'character 2 of "name" is U+00FC', 'letters' ],
    [ 'an emoji', { name => \"\xf0\x9f\x98\x80" },
      name_character => 'character 1 of "name" is U+1F600', 'letters' ],
    [ 'an asterisk', { name => \'*.example.com' },
      name_character => q(character 1 of "name" is '*'), 'letters' ],
    [ 'a newline', { name => \"name\n" },
      name_character => 'character 5 of "name" is U+000A', 'letters' ],
    [ '257 characters', { name => \('a' x 257) },
      name_too_long => '"name" has 257 characters, at most 256 are allowed',
      '256 characters at most' ],
    [ 'the name of another one', { name => \$stored },
      name_duplicate => $stored, qr/[0-9a-f]{32}/ ],

    # the other half is stored already

    [ 'content for another key', { modify => 1, content => 'rsa.chain' },
      key_mismatch => 'the key is EC-P-256, the certificate in block 1 of'
      . ' content is for RSA-2048', 'openssl' ],
    [ 'a key for another certificate', { modify => 1, key => 'ec2.key' },
      key_mismatch => 'are both EC-P-256, but not of one pair', 'openssl' ],
    [ 'a masked key', { modify => 1, key => \'***' },
      key_no_pem => 'key is masked with asterisks', 'leave the member out' ],
);

# A row: what it is, its members, the warnings that it gets, and parts of
# their sentences where those depend on the upload.

my @good = (

    [ 'as it should be', {} ],
    [ 'CRLF', { content => edit('rsa.chain', sub { s/\n/\r\n/g }),
                key => edit('rsa.key', sub { s/\n/\r\n/g }) } ],
    [ 'CR', { content => edit('rsa.chain', sub { s/\n/\r/g }) },
      newlines_repaired => 'line ends' ],
    [ 'blanks for newlines', { content => join_lines('rsa.chain', ' '),
                               key => join_lines('rsa.key', ' ') },
      newlines_repaired => '' ],
    [ 'nothing for newlines', { key => join_lines('rsa.key', '') },
      newlines_repaired => '' ],
    [ 'one line', { content => edit('rsa.chain', sub { s/\n//g }) },
      newlines_repaired => '' ],
    [ 'escaped twice', { content => edit('rsa.chain', sub { s/\n/\\n/g }),
                         key => edit('rsa.key', sub { s/\n/\\n/g }) },
      newlines_repaired => '' ],
    [ 'escaped thrice', { content => edit('rsa.chain', sub { s/\n/\\\\n/g }) },
      newlines_repaired => '' ],
    [ 'CRLF escaped', { key => edit('rsa.key', sub { s/\n/\\r\\n/g }) },
      newlines_repaired => '' ],
    [ 'slashes escaped', { key => edit('rsa.key', sub { s{/}{\\/}g; }) },
      newlines_repaired => '' ],
    [ 'continued lines', { key => edit('rsa.key', sub { s/\n/\\\n/g }) },
      newlines_repaired => '' ],
    [ 'files joined without a newline',
      { content => edit('rsa.chain', sub { s/-\n-/--/ }) },
      newlines_repaired => '' ],
    [ 'no newline at the end',
      { content => edit('rsa.chain', sub { s/\n\z// }),
        key => edit('rsa.key', sub { s/\n\z// }) } ],
    [ 'a byte order mark at each file',
      { content => edit('rsa.chain', sub { s/^(?=-+B)/\xef\xbb\xbf/gm }) } ],
    [ 'indented', { content => edit('rsa.chain', sub { s/^/    /gm }),
                    key => edit('rsa.key', sub { s/^/\t/gm }) } ],
    [ 'blanks at the lines\' ends',
      { content => edit('rsa.chain', sub { s/$/  /gm }) } ],
    [ 'empty lines', { content => edit('rsa.chain', sub { s/$/\n/gm }) } ],
    [ '76 columns', { content => edit(join_lines('rsa.chain', ''),
                                      sub { s/[^-\n]{76}/$&\n/g }) } ],
    [ 'text before the block', { content => [qw(rsa.text inter.crt)] } ],
    [ 'comments', { content => [ \"# the server\n", 'rsa.crt',
                                 \"# its CA\n\n", 'inter.crt', \"# end" ] } ],
    [ 'out of a PKCS#12 file', { key => 'rsa.bags' } ],
    [ 'a label of old',
      { content => [ relabel('rsa.crt', 'X509 CERTIFICATE'), 'inter.crt' ] } ],
    [ 'DH parameters after the chain',
      { content => [qw(rsa.chain dh.params)] } ],
    [ 'EC parameters before the chain',
      { content => [qw(ec.params ec.chain)], key => 'ec.key' } ],
    [ 'key and certificates in key', { key => [qw(rsa.key rsa.full)] } ],
    [ 'PKCS#1', { key => 'rsa.pkcs1' } ],
    [ 'SEC 1', { content => 'ec.chain', key => 'ec.sec1' } ],
    [ 'SEC 1 with parameters', { content => 'ec.chain', key => 'ec.both' } ],
    [ 'SEC 1 without the public half',
      { content => 'ec.chain', key => 'ec.short' } ],
    [ 'SEC 1 with a compressed point',
      { content => 'ec.chain', key => 'ec.compressed' } ],
    [ 'PKCS#8 with the curve inside, too',
      { content => 'ec.chain', key => pkcs8_ec('ec.sec1') } ],
    [ 'P-384', { content => [qw(p384.crt inter.crt)], key => 'p384.key' } ],
    [ 'P-521', { content => [qw(p521.crt inter.crt)], key => 'p521.key' },
      leaf_key_type => 'browsers' ],
    [ 'Ed25519', { content => 'ed.chain', key => 'ed.key' },
      leaf_key_type => '' ],
    [ 'Ed25519 with its public half',
      { content => 'ed.chain', key => pkcs8_ed('ed', 'ed') },
      leaf_key_type => '' ],
    [ 'RSA-4096',
      { content => [qw(rsa4096.crt inter.crt)], key => 'rsa4096.key' } ],
    [ 'RSA-4098 where it may be',
      { at => 'large', content => [qw(rsa4098.crt inter.crt)],
        key => 'rsa4098.key' } ],
    [ 'RSA-1024',
      { content => [qw(rsa1024.crt inter.crt)], key => 'rsa1024.key' },
      weak_key => 'security level 2' ],
    [ 'SHA-1', { content => [qw(sha1.crt inter.crt)] },
      weak_key => 'signature', no_san => '' ],
    [ 'a thousand names, and one of another kind',
      { content => dressed('rsa.crt', extensions => names(
            (map { tlv(0x82, "$_.example.com") } 1 .. 1000),
            "\x88\x01\x2a")) }, chain_incomplete => '' ],
    [ 'hundreds of mail addresses, and a host',
      { content => dressed('rsa.crt', extensions => names(
            (map { tlv(0x81, "a$_\@example.com") } 1 .. 900),
            "\x82\x03a.b")) }, chain_incomplete => '' ],
    [ 'version 1', { content => [qw(v1.crt inter.crt)] }, no_san => '' ],
    [ 'a common name alone', { content => [qw(cn.crt inter.crt)],
                               key => 'ec.key' },
      no_san => 'do not look at the common name' ],
    [ 'a subject with all characters',
      { content => [qw(utf8.crt inter.crt)], key => 'ec.key' } ],
    [ 'no host', { content => 'nohosts.chain', key => 'ec.key' },
      no_hosts => 'names no host', no_san => '' ],
    [ 'self-signed', { content => 'self.crt', key => 'ec.key' } ],
    [ 'expired', { content => [qw(expired.crt inter.crt)],
                   key => 'ec.key' }, expired => '', no_san => '' ],
    [ 'not valid yet', { content => 'future.chain', key => 'ec.key' },
      not_yet_valid => '', no_san => '' ],
    [ 'the reference\'s request',
      { content => 'request.sent', key => 'request.key' },
      map { $_ => '' } qw(newlines_repaired expired weak_key no_hosts
                            no_san) ],
    [ 'the reference\'s answer',
      { content => 'response.sent', key => 'response.key' },
      map { $_ => '' } qw(newlines_repaired expired weak_key no_san) ],
    [ 'the longest name', { name => \('a' x 256) } ],
    [ 'all kinds of characters in the name', { name => \'AZaz09_-.' } ],

    # the chain

    [ 'the root', { content => 'rsa.full' }, root_dropped => 'own: block 3' ],
    [ 'the root alone beside it',
      { content => [qw(self.crt self.crt root.crt)], key => 'ec.key' },
      duplicate_dropped => '', chain_repaired => 'left out' ],
    [ 'the leaf twice', { content => [qw(rsa.crt inter.crt rsa.crt)] },
      duplicate_dropped => 'kept once: block 3' ],
    [ 'ten certificates', { content => [ ('rsa.crt') x 9, 'inter.crt' ] },
      duplicate_dropped => 'once: blocks 2, 3, 4, 5, 6, 7, 8, 9' ],
    [ 'leaf last', { content => 'rsa.wrong' },
      chain_repaired => 'kept, in this order: blocks 2, 1' ],
    [ 'upside down', { content => [qw(root.crt inter.crt sub.crt deep.crt)],
                       key => 'ec.key' },
      chain_repaired => 'blocks 4, 3, 2', root_dropped => ': block 1' ],
    [ 'issuers exchanged', { content => [qw(deep.crt inter.crt sub.crt)],
                             key => 'ec.key' },
      chain_repaired => 'blocks 1, 3, 2' ],
    [ 'another certificate beside them',
      { content => [qw(rsa.chain alien.crt)] },
      chain_repaired => 'left out' ],
    [ 'an issuer with another key',
      { content => [qw(rsa.crt twin.crt inter.crt)] },
      chain_repaired => 'left out' ],
    [ 'a cross certificate', { content => [qw(rsa.crt cross.crt)] } ],
    [ 'no intermediate', { content => 'rsa.crt' },
      chain_incomplete => 'missing: CN=Intermediate,O=Wafcert' ],
    [ 'a gap', { content => [qw(deep.crt inter.crt)], key => 'ec.key' },
      chain_repaired => '', chain_incomplete => 'missing: CN=Sub,O=Wafcert' ],
    [ 'many things at once',
      { content => [ edit('rsa1024.crt', sub { s/\n/ /g }), 'rsa1024.crt',
                     'root.crt', 'alien.crt' ], key => 'rsa1024.key' },
      chain_incomplete => 'CN=Intermediate', duplicate_dropped => '',
      chain_repaired => '', newlines_repaired => '', weak_key => '' ],

    # policy

    [ 'the root is kept', { at => 'keep', content => 'rsa.full' } ],
    [ 'all is kept', { at => 'keep', content => [qw(rsa.crt inter.crt
                                                    inter.crt alien.crt)] } ],
    [ 'no intermediate, and all is kept', { at => 'keep',
                                            content => 'rsa.crt' },
      chain_incomplete => 'missing: CN=Intermediate,O=Wafcert' ],
    [ 'a key with explicit EC parameters behind the leaf',
      { at => 'keep', content => [qw(rsa.chain explicit.crt)] } ],
    [ 'another certificate is no intermediate',
      { at => 'keep', content => [qw(rsa.crt alien.crt)] },
      chain_incomplete => 'missing: CN=Intermediate,O=Wafcert' ],
    [ 'strict, and right', { at => 'strict',
                             content => [qw(deep.crt sub.crt inter.crt)],
                             key => 'ec.key' } ],
    [ 'strict, and self-signed', { at => 'strict', content => 'self.crt',
                                   key => 'ec.key' } ],
    [ 'just large enough', { at => 'bits', key => 'rsa3072.key',
                             content => [qw(rsa3072.crt inter.crt)] } ],
    [ 'EC is not measured by RSA', { at => 'bits', content => 'ec.chain',
                                     key => 'ec.key' } ],
    [ 'valid where that is wanted', { at => 'reject' } ],

    # the other half is stored already

    [ 'a renewal', { modify => 1, content => 'soon.chain' } ],
    [ 'the same key', { modify => 1, key => 'ec.sec1' } ],
);

# What the hint of a row says makes a good upload of the broken one: reason
# and title of the row, the files that the hint names with what is in them,
# the members that come from files then, and other members.  The file
# "armoured" is the base64 of the one file between the lines of the hint.

my @mended = (
    [ content_is_der => 'a certificate in DER',
      { 'cert.der' => \der_of('rsa.crt') }, { content => 'armoured' } ],
    [ content_is_der => 'a binary file as Latin-1',
      { 'cert.der' => \der_of('rsa.crt') }, { content => 'cert.pem' } ],
    [ content_is_pkcs12 => 'a PKCS#12 file', { 'file.p12' => 'p12.der' },
      { content => 'cert.pem', key => 'key.pem' } ],
    [ content_is_pkcs7 => 'a PKCS#7 bundle', { 'file.p7b' => 'rsa.p7' },
      { content => 'cert.pem' } ],
    [ content_no_pem => 'what a Kubernetes Secret has',
      { 'file.b64' => \encode_base64(text('rsa.chain')) },
      { content => 'file.pem' } ],
    [ content_der => 'OpenSSL\'s trusted certificate',
      { 'cert.pem' => 'rsa.trusted' }, { content => 'plain.pem' } ],
    [ key_is_der => 'a key in DER', { 'key.der' => \der_of('rsa.key') },
      { key => 'armoured' } ],
    [ key_is_der => 'a binary key', { 'key.der' => \der_of('rsa.pkcs1') },
      { key => 'key.pem' } ],
    [ key_is_pkcs12 => 'a PKCS#12 file', { 'file.p12' => 'p12.der' },
      { content => 'cert.pem', key => 'key.pem' } ],
    [ key_encrypted => 'an encrypted key', { 'key.pem' => 'rsa.enc' },
      { key => 'plain.pem' } ],
    [ key_encrypted => 'a key encrypted in the older way',
      { 'key.pem' => 'rsa.old' }, { key => 'plain.pem' } ],
    [ key_explicit_curve => 'explicit EC parameters in SEC 1',
      { 'key.pem' => 'ec.explicit' }, { key => 'named.pem' },
      content => 'ec.chain' ],
    [ chain_broken => 'no intermediate',
      { 'cert.pem' => 'rsa.crt', 'intermediate.pem' => 'inter.crt' },
      { content => 'chain.pem' } ],
    [ json_syntax => 'a line break in a string',
      { 'cert.pem' => 'rsa.chain', 'key.pem' => 'rsa.key' },
      { body => 'stdout' } ],
);


my $json = JSON::PP->new->utf8->canonical;
my %policy = (keep => 'wafcert_chain keep', strict => 'wafcert_chain strict',
              reject => 'wafcert_expired reject',
              bits => 'wafcert_min_rsa_bits 3072',
              large => 'wafcert_max_rsa_bits 8192');

# a server that would send them: OpenSSL has to load what is good
my ($port) = ports(1);

my $server = Wafcert::Server->new(
    workers => 1,
    http => <<"END",
        server {
            listen 127.0.0.1:$port ssl;
            ssl_reject_handshake on;
            wafcert_serve zone=certs;
        }
END
    server => join '', 'wafcert_return_key never;', map { <<"END" }
        location /$_/v1/ {
            wafcert_api zone=certs;
            wafcert_auth off;
            $policy{$_};
        }
END
                       sort keys %policy);

my $id = $server->request(POST => '', upload($stored))->json->{id};


sub body {
    my ($upload) = @_;

    return $upload->{body} if defined $upload->{body};

    my %member = $upload->{modify} ? ()
                 : (name => \'name', content => 'rsa.chain',
                    key => 'rsa.key');

    for my $name (qw(name content key)) {
        $member{$name} = $upload->{$name} if defined $upload->{$name};
    }

    # texts are bytes, and what JSON::PP encodes are characters
    return $json->encode({ map { my $text = text($member{$_});
                                 utf8::decode($text);
                                 ($_ => $text) } keys %member });
}


sub answer {
    my ($upload) = @_;

    my $path = $upload->{at} ? "//$upload->{at}/v1/project/waf/certificate"
               : $upload->{modify} ? "/$id" : '';

    return $server->request($upload->{modify} ? 'PUT' : 'POST',
                            "$path?dry_run=true", body($upload),
                            @{$upload->{headers} // []});
}


# Does a text have 24 consecutive characters of the key that was sent?
sub tells_key {
    my ($text, $upload) = @_;

    my $key = $upload->{body} // text($upload->{key} // 'rsa.key');
    $key =~ s/\\[nrt]|\s//g;

    for my $run ($text =~ m{[A-Za-z0-9+/=]{24,}}g) {
        for my $at (0 .. length($run) - 24) {
            return 1 if index($key, substr $run, $at, 24) >= 0;
        }
    }

    return 0;
}


# Tests that "text" has "part", or matches it.
sub has {
    my ($text, $part, $title) = @_;

    return like($text, ref $part ? $part : qr/\Q$part\E/, $title);
}


sub write_file {
    my ($name, $text) = @_;

    open my $out, '>:raw', $name or die "$name: $!\n";
    print $out $text;
    close $out or die "$name: $!\n";
}


# Does the command that a hint says to try read what was sent?
sub reads {
    my ($hint, $upload) = @_;

    my ($command, $name) = $hint =~ /reads it: (openssl .*?(\w+\.pem).*)/
        or return 0;

    my $dir = File::Temp->newdir;
    my $member = $name eq 'key.pem' ? 'key' : 'content';

    write_file("$dir/$name", text($upload->{$member}));

    return system("cd $dir && { $command; } >/dev/null 2>&1 </dev/null") == 0;
}


# what an edge leaves to the WAF, which may serve nothing
my %of_server = map { $_ => 1 } (
    'thousands of mail addresses, and a host, that servers are to load',
    'a thousand hosts and one');

my (%met, %said, @telling, @terse, @reading);

for my $row (@broken) {
    my ($title, $upload, $reason, $says, $hint) = @$row;

    my $answer = answer($upload);
    my $got = $answer->json;
    my $status = { body_too_large => 413, content_encoding => 415 }
                     ->{$reason} // 400;

    $met{$reason} = 1;

    if ($ENV{WAFCERT_EDGE} && $of_server{$title}) {
        is($answer->{status}, 200, "at an edge: $title");
        next;
    }

    $said{"$reason: $title"} = { hint => $got->{hint}, at => $upload->{at} };

    subtest "$reason: $title" => sub {
        is($answer->verdict, "$status $reason", 'reason');
        has($got->{error_msg}, $says, 'sentence');
        has($got->{hint}, $hint, 'hint');
    };

    push @telling, $title if tells_key($answer->{body}, $upload);
    push @terse, $title if $got->{error_msg} !~ /: (?:\S+ ){3}/
                           || $got->{error_msg} =~ /: invalid\W*$/i
                           || !length($got->{hint} // '');
    push @reading, "$reason: $title" if reads($got->{hint} // '', $upload);
}


for my $row (@good) {
    my ($title, $upload, %expected) = @$row;

    my $answer = answer($upload);
    my $got = $answer->json;
    my %warnings = map { $_->{reason} => $_->{message} }
                       @{$got->{warnings} // []};

    @met{keys %warnings} = (1) x keys %warnings;

    subtest "good: $title" => sub {
        is($answer->verdict, 200, 'accepted')
            or diag($got->{error_msg});
        is(join(' ', sort keys %warnings), join(' ', sort keys %expected),
           'warnings');
        has($warnings{$_} // '', $expected{$_}, $_) for sort keys %expected;
    };

    delete $got->{content};
    push @telling, $title if tells_key($json->encode($got), $upload);
}


# The commands of a hint, with the password that the fixtures have.
sub commands {
    my ($hint) = @_;

    return map { /^openssl (?:pkcs12|pkey)/ ? "$_ -passin pass:secret" : $_ }
               map { s/ +$//r }
                   $hint =~ /\b(?:(?:openssl|cat|base64)\ [^,;()]+
                                 |jq\ .*}')/gx;
}


# What is in the files after the hint was followed.
sub follow {
    my ($hint, $files) = @_;

    my $dir = File::Temp->newdir;

    write_file("$dir/$_", text($files->{$_})) for keys %$files;

    if (my ($begin, $end) = $hint =~ /^put (-\S.*-) before.* and (-.*-) /) {
        write_file("$dir/armoured", "$begin\n"
                   . encode_base64(text((values %$files)[0])) . "$end\n");
    }

    for my $command (commands($hint)) {
        is(system("cd $dir && { $command; } >stdout 2>log </dev/null"), 0,
           $command) or diag(Wafcert::Fixtures::read_file("$dir/log"));
    }

    return { map { m{([^/]+)$} => Wafcert::Fixtures::read_file($_) }
                 glob "$dir/*" };
}


for my $row (@mended) {
    my ($reason, $title, $files, $members, @more) = @$row;

    my $said = $said{"$reason: $title"} or die "no row \"$title\"\n";

    subtest "the hint of $reason: $title" => sub {
        my $made = follow($said->{hint}, $files);
        my %mended = (at => $said->{at}, @more);

        for my $member (keys %$members) {
            my $text = $made->{$members->{$member}} // '';
            $mended{$member} = $member eq 'body' ? $text : \$text;
        }

        is(answer(\%mended)->verdict, 200, 'makes it good');
    };
}


# Now for the tables.  One row each of REASONS.md's tables is a reason.

my @slugs = Wafcert::Fixtures::read_file('REASONS.md') =~ /^\| `(\w+)` \|/gm;
my ($first_warning) = grep { $slugs[$_] eq 'chain_repaired' } 0 .. $#slugs;
my @warnings = splice @slugs, $first_warning;

# what clients have against a chain: t/verdict.t, t/trusted.t
my $of_chains = qr/^(?:issuer_|leaf_|cert_(?:algorithm|critical|purpose)
                      |chain_signature|chain_untrusted|untrusted|key_id_mismatch|san_malformed
                      |host_unusable|serial_negative|must_staple)/x;

my @missing = grep { /^(?:content|key|cert|chain|json|field|name|body)_/
                         && !/$of_chains/ && !$met{$_} } @slugs;

is("@missing", '', 'each reason has a row');

# some are about what servers make of it: t/tls_*.t
my %elsewhere = map { $_ => 1 } qw(host_taken host_not_allowed
                                   static_displaced unusable);

is(join(' ', grep { !$met{$_} && !$elsewhere{$_} && !/$of_chains/ }
                  @warnings), '',
   'each warning has a row');

cmp_ok(scalar @broken, '>=', 90, @broken . ' broken uploads');
cmp_ok(scalar @good, '>=', 30, @good . ' good uploads');

is(join(', ', @terse), '', 'each answer says what is wrong');
is(join(', ', @reading), '', 'openssl does not read what is refused so');
is(join(', ', @telling), '', 'no answer has a part of the key');

$server->ends_well;
done_testing;
