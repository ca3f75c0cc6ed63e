function __tollgate_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __tollgate_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __tollgate_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __tollgate_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __tollgate_parse_tokens -S
    set -l unparsed_tokens (__tollgate_tokens -pc)
    switch $unparsed_tokens[1]
    case 'tollgate'
        __tollgate_parse_subcommand 0 'version' 'h/help'
        switch $unparsed_tokens[1]
        case 'serve'
            __tollgate_parse_subcommand 0 'config=' 'listen=' 'upstream=' 'redis=' 'namespace=' 'admin=' 'log-level=' 'version' 'h/help'
        case 'config'
            __tollgate_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'check'
                __tollgate_parse_subcommand 1 'strict' 'openapi' 'version' 'h/help'
            case 'show'
                __tollgate_parse_subcommand 1 'config=' 'listen=' 'upstream=' 'redis=' 'namespace=' 'admin=' 'log-level=' 'version' 'h/help'
            case 'schema'
                __tollgate_parse_subcommand 0 'version' 'h/help'
            case 'init'
                __tollgate_parse_subcommand 0 'openapi=' 'mcp=+' 'rest=+' 'out=' 'version' 'h/help'
            case 'reference'
                __tollgate_parse_subcommand 0 'version' 'h/help'
            end
        case 'health'
            __tollgate_parse_subcommand 0 'config=' 'admin=' 'live' 'version' 'h/help'
        case 'help'
            __tollgate_parse_subcommand -r 1 'version'
        end
    end
end

function __tollgate_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __tollgate_parse_subcommand -S -a positional_count
    argparse -s r -- $argv
    set -l option_specs $argv[2..]
    set -l is_repeating_positional $_flag_r
    set -el _flag_r
    set -a commands $unparsed_tokens[1]
    set positional_index 0
    while true
        set -e unparsed_tokens[1]
        argparse -sn "$commands" $option_specs -- $unparsed_tokens 2> /dev/null
        set unparsed_tokens $argv
        set positional_index (math $positional_index + 1)
        for non_repeating_flag_or_option in $non_repeating_flags_or_options
            if set -ql "_flag_$(string replace -a - _ -- $non_repeating_flag_or_option)"
                set non_repeating_flags_or_options_absent 1
                break
            end
        end
        test (count $unparsed_tokens) -eq 0 -o \( -z "$is_repeating_positional" -a "$positional_index" -gt "$positional_count" \) && break
    end
end

function __tollgate_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __tollgate_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__tollgate_tokens -p)
    if test -z "$(__tollgate_tokens -t)"
        set -l index (count (__tollgate_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'tollgate' -f
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate" version' -l 'version' -d 'Show the version.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_positional "tollgate" -eq 1' -fa 'serve' -d 'Run the sidecar until SIGTERM or SIGINT (default).'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_positional "tollgate" -eq 1' -fa 'config' -d 'Look at configurations.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_positional "tollgate" -eq 1' -fa 'health' -d 'Ask a running sidecar whether it is ready, without curl or a shell.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_positional "tollgate" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate serve" config' -l 'config' -d 'Configuration in YAML or JSON. [TOLLGATE_CONFIG]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate serve" listen' -l 'listen' -d 'Where clients connect; several by commas. [TOLLGATE_LISTEN]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate serve" upstream' -l 'upstream' -d 'URL of the handler. [TOLLGATE_UPSTREAM]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate serve" redis' -l 'redis' -d 'Where keys and limits are. Others see the command line: give a password by variable. [TOLLGATE_REDIS_URL]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate serve" namespace' -l 'namespace' -d 'First part of every Redis key; sidecars that share it share limits. [TOLLGATE_NAMESPACE]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate serve" admin' -l 'admin' -d 'Address of /readyz, /metrics and /status, or off. [TOLLGATE_ADMIN]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate serve" log-level' -l 'log-level' -d 'debug, info, warning or error. [TOLLGATE_LOG_LEVEL]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate serve" version' -l 'version' -d 'Show the version.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate serve" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config" version' -l 'version' -d 'Show the version.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_positional "tollgate config" -eq 1' -fa 'check' -d 'Tell what is wrong with a configuration, without starting.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_positional "tollgate config" -eq 1' -fa 'show' -d 'Print the configuration in force, and where each value comes from.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_positional "tollgate config" -eq 1' -fa 'schema' -d 'Print a JSON Schema (2020-12) of the configuration, for editors.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_positional "tollgate config" -eq 1' -fa 'init' -d 'Write a configuration with the routes of an OpenAPI document.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_positional "tollgate config" -eq 1' -fa 'reference' -d 'Print what can be configured, in Markdown.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config check" strict' -l 'strict' -d 'Exit with 78 where there is a warning.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config check" openapi' -l 'openapi' -d 'Read the documents of openapi in routes, as the sidecar would.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config check" version' -l 'version' -d 'Show the version.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config check" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config show" config' -l 'config' -d 'Configuration in YAML or JSON. [TOLLGATE_CONFIG]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config show" listen' -l 'listen' -d 'Where clients connect; several by commas. [TOLLGATE_LISTEN]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config show" upstream' -l 'upstream' -d 'URL of the handler. [TOLLGATE_UPSTREAM]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config show" redis' -l 'redis' -d 'Where keys and limits are. Others see the command line: give a password by variable. [TOLLGATE_REDIS_URL]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config show" namespace' -l 'namespace' -d 'First part of every Redis key; sidecars that share it share limits. [TOLLGATE_NAMESPACE]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config show" admin' -l 'admin' -d 'Address of /readyz, /metrics and /status, or off. [TOLLGATE_ADMIN]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config show" log-level' -l 'log-level' -d 'debug, info, warning or error. [TOLLGATE_LOG_LEVEL]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config show" version' -l 'version' -d 'Show the version.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config schema" version' -l 'version' -d 'Show the version.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config schema" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config init" openapi' -l 'openapi' -d 'The document, on the handler\'s host.' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config init"' -l 'mcp' -d 'Path of an MCP server; may be repeated.' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config init"' -l 'rest' -d 'Parameter that takes what is left of a path, as FastAPI\'s {path:path}; may be repeated.' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config init" out' -l 'out' -d 'A file to write, which isn\'t there yet. Default: standard output.' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config init" version' -l 'version' -d 'Show the version.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config init" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config reference" version' -l 'version' -d 'Show the version.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate config reference" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate health" config' -l 'config' -d 'The sidecar\'s configuration. [TOLLGATE_CONFIG]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate health" admin' -l 'admin' -d 'Ask there; the configuration isn\'t read. [TOLLGATE_ADMIN]' -rfka ''
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate health" live' -l 'live' -d 'Ask /livez: whether the process answers at all.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate health" version' -l 'version' -d 'Show the version.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate health" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'tollgate' -n '__tollgate_should_offer_completions_for_flags_or_options "tollgate help" version' -l 'version' -d 'Show the version.'
