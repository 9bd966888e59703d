# Automatic attributes: Debian's ohai, without the plugins that ask clouds, compilers, hypervisors and disks.

require "ohai"
require_relative "config"

class Chef
  module Automatic
    # Plugins whose answers no lab node has a use for; each starts programs or waits for a network.
    DISABLED = %i{
      Azure C Cloud CloudV2 DigitalOcean Docker EC2 Elixir Erlang Eucalyptus Fips GCE Go Groovy Haskell Java Joyent Linode
      Libvirt Lua Mono Nodejs Openstack PHP Perl Powershell Python Rackspace Rust Scala Scaleway ScSi Shard Softlayer Sysconf
      VMware VirtualBox Hostnamectl SSHHostKey Passwd PS Livepatch MDADM DMI Grub2 LSPCI Sessions Tc
      BlockDevice Filesystem Ruby SystemdPaths Zpools
    }.freeze

    # Returns what ohai says of this machine.
    def self.collect
      Ohai::Log.level = :fatal
      Ohai.config[:disabled_plugins] = DISABLED | Array(Ohai.config[:disabled_plugins])
      system = Ohai::System.new
      system.all_plugins
      system.data
    end
  end
end
