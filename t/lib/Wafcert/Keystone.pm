package Wafcert::Keystone;

# A Keystone that tools/keystone set up, and who is in it.

use strict;
use warnings;

use HTTP::Tiny ();
use JSON::PP ();

use constant DIR => 'build/keystone';

my $json = JSON::PP->new->utf8;


sub new {
    my ($class, $port) = @_;

    my $self = bless {
        port => $port, url => "http://127.0.0.1:$port/v3",
        http => HTTP::Tiny->new(timeout => 60)
    }, $class;

    run('setup', DIR, $port);
    $self->{admin} = $self->login('admin', scope => 'admin');

    return $self;
}


sub run {
    system('tools/keystone', @_) == 0 or die "tools/keystone @_ failed\n";
}


sub start { run('start', DIR) }
sub stop { run('stop', DIR) }


# The processes, to be stopped with SIGSTOP.
sub pids {
    my ($self) = @_;

    open my $in, '<', DIR . '/uwsgi.pid' or die "uwsgi.pid: $!\n";
    my ($master) = <$in> =~ /(\d+)/;
    open $in, '<', "/proc/$master/task/$master/children" or die "$master: $!\n";

    return ($master, split ' ', <$in>);
}


sub DESTROY { local $?; system('tools/keystone', 'stop', DIR) }


# A call as the administrator; what it answers, or the status.
sub call {
    my ($self, $method, $path, $body, $expected) = @_;

    my $answer = $self->{http}->request($method, "$self->{url}$path", {
        headers => { 'X-Auth-Token' => $self->{admin} // '',
                     'Content-Type' => 'application/json' },
        defined $body ? (content => $json->encode($body)) : ()
    });

    die "$method $path: $answer->{status} $answer->{content}\n"
        unless $answer->{success};

    return length $answer->{content} ? $json->decode($answer->{content}) : {};
}


sub project {
    my ($self, $name) = @_;

    return $self->{project}{$name} //= $self->call(POST => '/projects',
        { project => { name => $name, domain_id => 'default' } })
        ->{project}{id};
}


sub role {
    my ($self, $name) = @_;

    return $self->{role}{$name} //= do {
        my ($role) = grep { $_->{name} eq $name }
                          @{$self->call(GET => '/roles')->{roles}};
        $role //= $self->call(POST => '/roles',
                              { role => { name => $name } })->{role};
        $role->{id};
    };
}


sub user {
    my ($self, $name) = @_;

    return $self->{user}{$name} //= $self->call(POST => '/users',
        { user => { name => $name, domain_id => 'default',
                    password => $name } })->{user}{id};
}


# Gives ("PUT") or takes ("DELETE") a role in a project.
sub grant {
    my ($self, $method, $user, $project, $role) = @_;

    $self->call($method => '/projects/' . $self->project($project)
                           . '/users/' . $self->user($user)
                           . '/roles/' . $self->role($role));
}


sub enable {
    my ($self, $kind, $id, $enabled) = @_;

    $self->call(PATCH => "/${kind}s/$id",
                { $kind => { enabled => $enabled ? JSON::PP::true
                                                 : JSON::PP::false } });
}


# scope     name of a project, "system", or none
sub login {
    my ($self, $user, %arg) = @_;

    my $scope = $arg{scope} // '';

    my %auth = (
        identity => { methods => ['password'], password => {
            user => { name => $user, password => $user,
                      domain => { id => 'default' } } } },
        $scope eq 'system' ? (scope => { system => { all => JSON::PP::true } })
        : $scope ? (scope => { project => { name => $scope,
                                            domain => { id => 'default' } } })
        : (scope => 'unscoped')
    );

    my $answer = $self->{http}->post("$self->{url}/auth/tokens", {
        headers => { 'Content-Type' => 'application/json' },
        content => $json->encode({ auth => \%auth }) });

    die "login as $user: $answer->{status} $answer->{content}\n"
        unless $answer->{success};

    return $answer->{headers}{'x-subject-token'};
}


sub revoke {
    my ($self, $token) = @_;

    my $answer = $self->{http}->delete("$self->{url}/auth/tokens", {
        headers => { 'X-Auth-Token' => $self->{admin},
                     'X-Subject-Token' => $token } });

    die "revoke: $answer->{status}\n" unless $answer->{success};
}

1;
